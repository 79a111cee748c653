"""Saying in the log, as the operator, which versions of the roles this company runs."""

from __future__ import annotations

from actors.desk.connection import session
from actors.desk.errors import DeskError
from actors.table import TABLE
from bus.authority import OPERATOR
from bus.errors import NotPermitted
from bus.releases import announce
from bus.structured import structlog

log = structlog.get_logger("actors")


async def announce_versions(url: str, secret: str) -> list[str]:
    """Announce the version of every role, unless it has been; return what was done, a line each.

    Without the operator's rights it is not done: what these versions write then stops no process of a lower
    one that still runs.
    """
    from actors.company import role

    roles = [role(mailbox.name) for mailbox in TABLE.mailboxes if not mailbox.orders]
    try:
        async with session(url, OPERATOR, secret) as operator:
            return await announce(operator, TABLE, roles)
    except (DeskError, NotPermitted) as error:
        log.warning("versions.unannounced", reason=str(error), so="run coo setup as the operator")
        return ["versions: not announced, which needs the operator's password"]
