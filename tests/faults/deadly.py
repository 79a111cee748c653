"""One process of the gate or of the sandbox whose decisions can be deadly; started by a supervisor in a test.

    python deadly.py approval|sandbox URL STRIKES CPU_S

A decision with the note `kill` kills the process, one with the note `spin` never ends. An order with the
argument `kill` kills it while it is performed, and any order with a third argument waits that many seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from actors import messages as m
from actors.process.held import ENVIRONMENT, HeldReport
from actors.process.strikes import Strikes
from actors.process.wiring import serve
from actors.roles.approval import ROLE
from actors.table import HALTS, TABLE
from bus.envelope import Mail
from bus.fold import Role, Step
from bus.jetstream import connect
from bus.loops.halts import Halt
from bus.loops.means import LoopSettings
from bus.loops.performer import PerformerLoop
from bus.loops.role import RoleLoop
from bus.server.authority import variable

ACK_WAIT_S = 60.0


def handle(state: msgspec.Struct, mail: Mail) -> Step:
    note = mail.message.note if isinstance(mail.message, m.Decision) else ""
    if ":replay:" not in mail.id:  # whatever it was is repaired when the operator sends it again
        if note == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        while note == "spin":
            pass
        if note == "raise":
            raise ValueError("poison")
    return ROLE.handle(state, mail)


class Runner:
    """Serves `execute` by saying so."""

    name = "sandbox"
    version = 1

    async def perform(self, order: Mail) -> msgspec.Struct:
        execute = order.message
        assert isinstance(execute, m.Execute)
        await asyncio.sleep(0.05)
        if "kill" in execute.argv:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._answer(order, "ok", "")

    def dropped(self, order: Mail, halt: Halt) -> msgspec.Struct:
        return self._answer(order, "dropped", "")

    def failed(self, order: Mail, why: str) -> msgspec.Struct:
        return self._answer(order, "failed", why)

    async def close(self) -> None:
        """Nothing is held."""

    def _answer(self, order: Mail, status: str, reason: str) -> msgspec.Struct:
        return m.Outcome(run="run", number=0, rework=0, round=0, status=status, reason=reason)


async def main(actor: str, url: str, strikes: Path, cpu_s: float) -> None:
    held = HeldReport(int(os.environ[ENVIRONMENT]))
    carrier = await connect(url, user=actor, password=os.environ[variable(actor)], name=actor, leases=held)
    deaths = Strikes(strikes, cpu_s)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if actor == "sandbox":
        work = PerformerLoop(
            Runner(), TABLE, carrier, halts=HALTS, slots=8, ack_wait_s=ACK_WAIT_S, deaths=deaths
        )
        await serve([work], stop)
    else:
        role = Role(name=actor, version=ROLE.version, state=ROLE.state, handle=handle)
        await serve([RoleLoop(role, TABLE, carrier, LoopSettings(ack_wait_s=ACK_WAIT_S), deaths)], stop)
    await carrier.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])))
