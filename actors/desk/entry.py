"""The `coo` program: a Ctrl-C before there is anything to end just ends it, without a traceback."""

from __future__ import annotations

import signal


def main() -> None:
    """Run `coo`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from actors.desk.main import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
