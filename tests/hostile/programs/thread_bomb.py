r"""Start threads until no more can be started.

ends: ok
says: contained
"""

import threading
import time

threads = 0
try:
    while threads < 5000:
        threading.Thread(target=time.sleep, args=[600], daemon=True).start()
        threads += 1
except (RuntimeError, MemoryError):
    pass
print("contained" if threads < 64 else f"BREACH: {threads} threads", flush=True)
