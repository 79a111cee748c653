r"""Take memory that belongs to no process.

ends: out_of_memory
bubblewrap ends: out_of_memory | ok
"""

import os

try:
    files = [os.memfd_create(str(number)) for number in range(16)]
except PermissionError:
    print("contained")
    raise SystemExit from None
for _ in range(64):
    for file in files:
        os.write(file, b"x" * 1_000_000)
print("BREACH: holds 1 GB")
