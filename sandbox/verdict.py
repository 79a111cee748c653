"""How the way a run ended becomes a status and a sentence; the same words for every backend."""

import signal
from typing import Literal, NamedTuple

from sandbox.order import Status

# exited: by itself. timeout, flood: we killed it. gone: its container or process tree vanished under us.
Ending = Literal["exited", "timeout", "flood", "memory", "gone"]

SIGKILL_EXIT = 128 + signal.SIGKILL


class Verdict(NamedTuple):
    status: Status
    reason: str = ""
    limits_hit: frozenset[str] = frozenset()


def judge(ending: Ending, exit_code: int | None, *, out_of_memory: bool, timeout_s: float) -> Verdict:
    """Return status, reason and the limits behind them.

    An exit code of 0 stays `ok` when only a child of the program ran out of memory; the limit is named.
    """
    memory = frozenset({"memory_bytes"} if out_of_memory else ())
    match ending:
        case "timeout":
            return Verdict("timeout", f"killed after {timeout_s:g} s", frozenset({"timeout_s"}) | memory)
        case "flood":
            return Verdict(
                "output_limit", "killed: it wrote too much output", frozenset({"flood_bytes"}) | memory
            )
        case "memory":
            return Verdict("out_of_memory", "killed: it used too much memory", frozenset({"memory_bytes"}))
        case "gone":
            return Verdict("killed", "its container or process tree was ended from outside", memory)
        case "exited":
            return _judge_exit(exit_code, memory)


def _judge_exit(exit_code: int | None, memory: frozenset[str]) -> Verdict:
    if exit_code == 0:
        return Verdict("ok", "", memory)
    if memory:
        return Verdict("out_of_memory", f"out of memory; exit code {exit_code}", memory)
    if exit_code == SIGKILL_EXIT:
        return Verdict("killed", "ended by SIGKILL, which was not ours")
    if exit_code is not None and exit_code > 128:
        return Verdict("failed", f"ended by {_signal_name(exit_code - 128)}")
    return Verdict("failed", f"exit code {exit_code}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit code {number + 128}"
