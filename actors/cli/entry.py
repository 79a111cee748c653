"""The `coo` program: a Ctrl-C before there is anything to end just ends it, without a traceback."""

from __future__ import annotations

import gc
import signal


def main() -> None:
    """Run `coo`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()  # nothing that an import makes is garbage: looking for it is a tenth of a start
    from actors.cli.app import main as run

    gc.enable()

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
