"""What went wrong in starting and stopping a company, in one line, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from actors.errors import Kind, UserError
from actors.host.datadir import DataDirError, Locked
from actors.host.nats.binary import ServerError
from actors.host.nats.server import PortTaken, StillRunning, StoreElsewhere
from bus.errors import BusError, TopologyConflict, Unreachable


@contextmanager
def named_errors() -> Iterator[None]:
    """Say what went wrong and what to do, for whoever typed the command."""
    try:
        yield
    except Locked as error:
        raise UserError(Kind.CONFLICT, f"{error.what}.", f"{error.fix}.") from error
    except DataDirError as error:
        raise UserError(Kind.USAGE, f"{error.what}.", f"{error.fix}.") from error
    except ServerError as error:
        kind = Kind.CONFLICT if isinstance(error, (PortTaken, StillRunning)) else Kind.UNREACHABLE
        kind = Kind.USAGE if isinstance(error, StoreElsewhere) else kind
        raise UserError(kind, f"{error.what}.", error.fix) from error
    except TopologyConflict as error:
        fix = "It was made with other settings. Use another server, or remove it there."
        raise UserError(Kind.CONFLICT, f"{error}.", fix) from error
    except Unreachable as error:
        raise UserError(Kind.UNREACHABLE, f"{error}.", "Is JetStream enabled there?") from error
    except BusError as error:
        raise UserError(Kind.UNREACHABLE, f"{error}.") from error
