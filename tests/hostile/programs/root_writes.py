r"""Write anywhere but where it is allowed.

ends: ok
says: contained
"""

import os

free = ("/workspace", "/tmp", "/dev/shm", "/dev/mqueue", "/proc", "/sys")
written = []
for folder, folders, _ in os.walk("/"):
    folders[:] = [name for name in folders if not os.path.join(folder, name).startswith(free)]
    path = os.path.join(folder, "hostile")
    try:
        with open(path, "w"):
            written.append(path)
    except OSError:
        continue
for path in ("/etc/passwd", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/usr/bin/sh", "/bin/sh"):
    try:
        with open(path, "r+b"):
            written.append(path)
    except OSError:
        continue
print(f"BREACH: {written}" if written else "contained")
