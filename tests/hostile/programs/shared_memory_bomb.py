r"""Take memory that is shared with children.

ends: out_of_memory
"""

import mmap

shared = mmap.mmap(-1, 1 << 30)
for place in range(0, 1 << 30, 4096):
    shared[place] = 1
print("BREACH: holds 1 GB")
