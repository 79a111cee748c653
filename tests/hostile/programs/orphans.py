r"""Leave 300 orphans to be reaped.

ends: ok
says: contained
"""

import os
import time

refused = 0
for _ in range(300):
    try:
        if os.fork() == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.wait()
    except OSError:
        refused += 1
        time.sleep(0.01)
print("contained" if refused < 300 else "nothing could be forked")
