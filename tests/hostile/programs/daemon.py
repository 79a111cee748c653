r"""Leave a process behind that holds the output and ignores signals.

ends: ok
says: gone
"""

import os
import signal
import time

print("gone", flush=True)
if os.fork() == 0:
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        while True:
            time.sleep(0.1)
    os._exit(0)
