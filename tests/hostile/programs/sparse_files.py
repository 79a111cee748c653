r"""Make gigabytes of nothing.

ends: ok
brings: any
"""

import os

for number in range(300):
    with open(f"{number}", "wb") as file:
        os.truncate(file.fileno(), 8_000_000)
