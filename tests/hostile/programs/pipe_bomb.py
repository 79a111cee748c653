r"""Fill as many pipes as there can be.

ends: ok | out_of_memory
"""

import contextlib
import fcntl
import os

with contextlib.suppress(OSError, MemoryError):
    while True:
        _, end = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(end, 1031, 1 << 20)  # F_SETPIPE_SZ
        os.set_blocking(end, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(end, b"x" * 65536)
print("no more pipes")
