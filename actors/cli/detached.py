"""A company without a terminal: `coo up -d` starts it, `coo down` ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from actors.cli.console import block, elsewhere, next_steps
from actors.cli.exits import Exit, kind
from actors.cli.signals import held_back
from actors.errors import Kind, UserError
from actors.host import ephemeral as ephemeral_data
from actors.host.alive import process_start
from actors.host.datadir import LOCK_VARIABLE, DataDir, Holder
from actors.host.logtail import size_bytes

LOG = "up.log"

START_S = 90.0
"""Longer than a start may take: `coo up` itself says what is wrong."""

STOP_S = 40.0
"""Longer than a drain may take."""

_POLL_S = 0.02


def start(path: Path | None, *, ephemeral: bool, as_json: bool) -> int:
    """Start `coo up` with this command's own options in a session of its own; return its exit code, or 0.

    Raises:
        UserError: what `coo up` says is wrong.
    """
    data_dir = DataDir(ephemeral_data.make(path) if ephemeral else path)
    with data_dir.reserved() as lock, ExitStack() as undo:  # of several at once one goes on
        log = data_dir.logs / LOG
        begin = size_bytes(log)
        if ephemeral:
            undo.callback(shutil.rmtree, data_dir.path, ignore_errors=True)
        with held_back():  # so that nobody has to look for a process that nobody signed for
            process = _spawn(data_dir, log, lock)
            undo.callback(_end, process)
            data_dir.sign(lock, process.pid)
        told = _until_ready(process, log, begin)
        undo.pop_all()
    if as_json:
        print(json.dumps(told))
    else:
        print("\n".join([block(told, _stop_line(told)), next_steps(told)]))
    return int(Exit.DONE)


def _stop_line(told: dict[str, Any]) -> str:
    return f"stop it: coo down{elsewhere(told)}"


def _spawn(data_dir: DataDir, log: Path, lock: int) -> subprocess.Popen[bytes]:
    given = [word for word in sys.argv[1:] if word not in ("-d", "--detach", "--json")]
    argv = [sys.executable, "-P", "-m", "actors.cli.app", *given, "--json"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*argv, "--data-dir", str(data_dir.path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            env={**os.environ, LOCK_VARIABLE: str(lock)},
            start_new_session=True,
        )


def _until_ready(process: subprocess.Popen[bytes], log: Path, begin: int) -> dict[str, Any]:
    """Wait for the line that says ready, passing on what else is said to a person."""
    ends_s = time.monotonic() + START_S
    with log.open("rb") as file:
        file.seek(begin)
        unread = b""
        while time.monotonic() < ends_s:
            ended = process.poll() is not None
            whole, _, unread = (unread + file.read()).rpartition(b"\n")
            for line in _lines(whole):
                if "error" in line:
                    error = line["error"]
                    raise UserError(kind(error["exit"]), error["message"], error["fix"])
                if line.get("event") == "ready":
                    return line
            if ended:
                raise UserError(Kind.UNREACHABLE, f"coo up ended with {process.returncode}.", f"See {log}.")
            time.sleep(_POLL_S)
    raise UserError(Kind.TIMEOUT, f"The company is not ready after {START_S:g} s.", f"See {log}.")


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    for text in content.decode(errors="replace").splitlines():
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            print(text, file=sys.stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    process.kill()
    process.wait()


def stop(data_dir: DataDir, *, now: bool) -> bool:
    """End the company on this data directory; return whether there was one.

    Raises:
        UserError: it has not ended in time, or belongs to another user.
    """
    holder = data_dir.holder()
    if holder is None:
        return False
    _signal(holder, signal.SIGTERM)
    if now:
        time.sleep(_POLL_S)  # two signals at once could be taken for one
        _signal(holder, signal.SIGTERM)
    ends_s = time.monotonic() + STOP_S
    while _lives(holder):
        if time.monotonic() > ends_s:
            what = f"The company (pid {holder.pid}) has not ended after {STOP_S:g} s."
            raise UserError(Kind.TIMEOUT, what, "Kill it: coo down --now")
        time.sleep(_POLL_S)
    return True


def _signal(holder: Holder, number: signal.Signals) -> None:
    try:
        if _lives(holder):
            os.kill(holder.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        what = f"The company (pid {holder.pid}) belongs to another user."
        raise UserError(Kind.UNREACHABLE, what, "Stop it as that user.") from error


def _lives(holder: Holder) -> bool:
    return process_start(holder.pid) == holder.process_start
