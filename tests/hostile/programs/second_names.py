r"""Give one file many names.

ends: ok
brings: any
"""

import os

with open("one", "wb") as file:
    file.write(b"x" * 500_000)
for number in range(100):
    os.link("one", f"name{number}")
