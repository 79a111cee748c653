r"""Make a tree that is too deep to be walked.

ends: ok
"""

import contextlib
import os

with contextlib.suppress(OSError):
    for _ in range(3000):
        os.mkdir("deeper")
        os.chdir("deeper")
with contextlib.suppress(OSError), open("end", "w") as file:
    file.write("x")
