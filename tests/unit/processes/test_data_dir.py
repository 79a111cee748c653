"""The company's data directory: paths, credentials, run file, lock."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import msgspec
import pytest

from actors.host.datadir import LOCK_VARIABLE, DataDir, Locked, Run, Unusable, default_path

URL = "nats://127.0.0.1:4222"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    data = DataDir(tmp_path / "company")
    data.create()
    return data


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"COO_DATA_DIR": "/a/b", "XDG_DATA_HOME": "/x"}, Path("/a/b")),
        ({"XDG_DATA_HOME": "/x"}, Path("/x/coo/default")),
        ({"XDG_DATA_HOME": "x"}, Path.home() / ".local/share/coo/default"),
        ({}, Path.home() / ".local/share/coo/default"),
    ],
)
def test_the_default_path_is_the_variable_then_the_data_home(environ: dict[str, str], path: Path) -> None:
    assert default_path(environ) == path


def test_its_folders_are_closed_to_other_users(data: DataDir) -> None:
    folders = (data.path, data.nats, data.run, data.logs)
    assert [mode(folder) for folder in folders] == [0o700] * 4
    assert data.log("qa") == data.path / "logs/qa.jsonl"


def test_a_run_folder_open_to_others_is_closed(data: DataDir) -> None:
    data.run.chmod(0o755)
    data.create()
    assert mode(data.run) == 0o700


def test_a_password_is_a_letter_and_then_letters_and_digits(data: DataDir) -> None:
    passwords = data.credentials(f"actor{n}" for n in range(200)).values()
    assert len(set(passwords)) == 200
    assert all(p[0].isalpha() and p.isalnum() and p.isascii() and len(p) >= 40 for p in passwords)


def test_credentials_are_made_once_and_kept_when_principals_come_and_go(data: DataDir) -> None:
    first = data.credentials(["ceo", "qa"])
    again = DataDir(data.path).credentials(["qa", "budget"])
    assert again["qa"] == first["qa"]
    assert data.credentials(["ceo"]) == {"ceo": first["ceo"]}
    assert data.stored_credentials() == first | again
    assert mode(data.run / "credentials.json") == 0o600
    assert [path.name for path in data.run.iterdir()] == ["credentials.json"]


def test_stored_credentials_makes_none(data: DataDir) -> None:
    assert data.stored_credentials() == {}
    assert list(data.run.iterdir()) == []


def test_credentials_that_are_not_json_are_a_named_error_and_stay(data: DataDir) -> None:
    (data.run / "credentials.json").write_text("{")
    with pytest.raises(Unusable, match=r"credentials\.json"):
        data.credentials(["ceo"])
    assert (data.run / "credentials.json").read_text() == "{"


def test_the_run_file_says_where_this_company_runs(data: DataDir) -> None:
    run = Run(url=URL, server_pid=1, server_version="2.15.1", actors={"qa": 2})
    data.write_run(run)
    assert data.read_run() == run
    assert run.pid == os.getpid()
    assert mode(data.run / "run.json") == 0o600


def test_without_a_run_file_nothing_runs(data: DataDir) -> None:
    assert data.read_run() is None


def test_the_run_file_of_an_earlier_process_with_this_pid_counts_for_nothing(data: DataDir) -> None:
    data.write_run(msgspec.structs.replace(Run(url=URL), process_start="another"))
    assert data.read_run() is None


def test_a_lock_excludes_another_and_says_who_holds_it(data: DataDir) -> None:
    with data.lock(), pytest.raises(Locked) as refused, DataDir(data.path).lock():
        pass
    held = refused.value
    assert held.path == data.path
    assert held.pid == os.getpid()
    assert held.since is not None
    assert str(held) == (
        f"{data.path} is in use by coo up (pid {os.getpid()}, since {held.since.astimezone():%H:%M}). "
        "Use it as it is, stop it with coo down, or start another with --data-dir"
    )


def test_a_lock_refused_leaves_the_holders_run_file(data: DataDir) -> None:
    with data.lock():
        data.write_run(Run(url=URL))
        with pytest.raises(Locked), DataDir(data.path).lock():
            pass
        assert data.read_run() is not None


def test_a_lock_given_back_can_be_taken_and_leaves_no_run_file(data: DataDir) -> None:
    with data.lock():
        data.write_run(Run(url=URL))
    with data.lock():
        assert json.loads((data.path / "lock").read_bytes())["pid"] == os.getpid()
        assert data.read_run() is None


def test_a_file_in_the_way_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "company").write_text("")
    with pytest.raises(Unusable) as refused, DataDir(tmp_path / "company").lock():
        pass
    assert str(refused.value) == (
        f"Cannot use the data directory at {tmp_path}/company (File exists). Make it readable and writable "
        "for this user, or choose another with --data-dir or COO_DATA_DIR"
    )


def test_a_folder_that_nobody_can_write_is_one_clear_error(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        with pytest.raises(Unusable, match="--data-dir"):  # not even root makes folders there
            DataDir(Path("/proc/coo")).create()
        return
    tmp_path.chmod(0o500)
    with pytest.raises(Unusable, match="Permission denied"):
        DataDir(tmp_path).create()


def test_what_a_copy_says_of_a_running_company_counts_for_nothing(data: DataDir, tmp_path: Path) -> None:
    copy, moved = DataDir(tmp_path / "copy"), DataDir(tmp_path / "moved")
    with data.lock():
        data.write_run(Run(url=URL))
        shutil.copytree(data.path, copy.path, symlinks=True)
        assert (copy.read_run(), copy.holder()) == (None, None)
        with copy.lock():
            assert copy.read_run() is None
        data.path.rename(moved.path)
        run, holder = moved.read_run(), moved.holder()
        assert run is not None
        assert holder is not None
        assert (run.url, holder.pid) == (URL, os.getpid())


def test_what_an_older_coo_wrote_still_counts(data: DataDir) -> None:
    with data.lock():
        (data.run / "run.json").write_bytes(msgspec.json.encode(Run(url=URL)))
        assert data.read_run() is not None


def test_the_run_file_of_a_folder_that_is_gone_is_a_named_error(data: DataDir) -> None:
    shutil.rmtree(data.path)
    with pytest.raises(Unusable, match="No such file"):
        data.write_run(Run(url=URL))


@pytest.mark.parametrize("given", ["", "x", "-1", "999999", "0"])
def test_what_is_not_the_lock_of_this_folder_is_not_taken_for_it(
    data: DataDir, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv(LOCK_VARIABLE, given)
    with data.lock(), pytest.raises(Locked), DataDir(data.path).lock():
        pass
