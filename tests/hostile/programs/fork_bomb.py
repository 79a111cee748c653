r"""Fork in every process, for ever.

ends: timeout
timeout_s: 2
"""

import contextlib
import os
import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    with contextlib.suppress(OSError):
        os.fork()
