r"""Use a descriptor that was left open.

ends: ok
says: contained
"""

import os

left = []
for name in os.listdir("/proc/self/fd"):
    try:
        if int(name) > 2:
            left.append(os.readlink(f"/proc/self/fd/{name}"))
    except OSError:
        continue
for name in ("fd", "map_files", "task/1/fd"):
    try:
        left += [f"/proc/1/{name}"] if os.listdir(f"/proc/1/{name}") else []
    except OSError:
        continue
print(f"BREACH: {left}" if left else "contained")
