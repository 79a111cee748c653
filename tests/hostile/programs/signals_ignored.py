r"""Ignore every signal that can be ignored.

ends: timeout
timeout_s: 1
"""

import contextlib
import signal
import time

for number in range(1, 65):
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_IGN)
while True:
    time.sleep(1)
