"""structlog, imported in one place and without rich."""

import sys

# structlog imports rich for tracebacks on a terminal alone, which costs every process 0.1 s of start.
_HIDDEN = "rich" not in sys.modules
if _HIDDEN:
    sys.modules["rich"] = None  # type: ignore[assignment]  # None: not to be imported
import structlog

if _HIDDEN:
    del sys.modules["rich"]

__all__ = ["structlog"]
