r"""Kill process 1, and everybody else.

ends: ok
says: contained
"""

import os
import signal
import time

for pid in (1, -1, *range(2, 300)):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGBUS):
        try:
            if pid != os.getpid():
                os.kill(pid, number)
        except OSError:
            continue
time.sleep(0.3)
print("contained", flush=True)
