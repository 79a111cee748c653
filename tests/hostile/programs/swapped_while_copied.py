r"""Swap files and links in the background, while files are taken out.

ends: ok
brings: any
"""

import contextlib
import os

with open("file", "w") as file:
    file.write("innocent")
for _ in range(4):
    if os.fork() == 0:
        while True:
            with contextlib.suppress(OSError):
                os.symlink("/etc/passwd", f"s{os.getpid()}")
                os.rename(f"s{os.getpid()}", "swapped")
                with open(f"f{os.getpid()}", "w") as file:
                    file.write("innocent")
                os.rename(f"f{os.getpid()}", "swapped")
