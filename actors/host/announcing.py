"""Saying in the log, as the operator, which versions of the roles this company runs."""

from __future__ import annotations

from actors.cast import table
from actors.errors import UserError
from actors.host.session import session
from bus.errors import NotPermitted
from bus.loops.releases import announce
from bus.structured import structlog
from bus.table import OPERATOR

log = structlog.get_logger("actors")


async def announce_versions(url: str, secret: str) -> list[str]:
    """Announce the version of every role, unless it has been; return what was done, a line each.

    Without the operator's rights it is not done: what these versions write then stops no process of a lower
    one that still runs.
    """
    from actors.process.wiring import role

    roles = [role(name, table()) for name in table().roles]
    try:
        async with session(url, OPERATOR, secret) as operator:
            return await announce(operator, table(), roles)
    except (UserError, NotPermitted) as error:
        log.warning("versions.unannounced", reason=str(error), so="run coo setup as the operator")
        return ["versions: not announced, which needs the operator's password"]
