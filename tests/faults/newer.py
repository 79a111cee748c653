"""`coo-actor ROLE` of the next version: every role decides as before, and says a higher version.

python newer.py engineer URL
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from actors.process import wiring as company
from actors.table import TABLE
from bus.fold import Role
from bus.jetstream import connect
from bus.server.authority import variable
from config.parts import decode
from config.settings import load
from config.split import part


def newer(name: str) -> Role[Any]:
    """Return a role as the next version has it."""
    now = company.role(name)
    return Role(name=now.name, version=now.version + 1, state=now.state, handle=now.handle)


async def main(actor: str, url: str) -> None:
    carrier = await connect(url, user=actor, password=os.environ[variable(actor)], name=actor)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    work = company.loops(actor, carrier, decode(part(load(), actor, TABLE.needs_of(actor))), find_role=newer)
    await company.serve(work, stop)
    await carrier.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
