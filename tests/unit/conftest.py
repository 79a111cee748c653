"""This storey needs no process: whoever starts one belongs a storey up."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

_STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"}
_watching = False


def _refuse(event: str, arguments: object) -> None:
    if _watching and event in _STARTS:
        raise AssertionError(f"a unit test starts a process ({event}): it belongs into tests/integration")


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def _no_process() -> Iterator[None]:
    global _watching
    _watching = True
    yield
    _watching = False
