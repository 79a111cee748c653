r"""Make or open devices.

ends: ok
says: contained
"""

import os

passed = []
for number, (kind, device) in enumerate(((0o20666, (1, 1)), (0o60666, (8, 0)), (0o20666, (10, 232)))):
    try:
        os.mknod(f"device{number}", kind, os.makedev(*device))
        passed.append(device)
    except OSError:
        continue
ours = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "stdin", "stdout", "stderr", "fd", "core"}
ours |= {"shm", "pts", "mqueue", "console"}
passed += [name for name in os.listdir("/dev") if name not in ours]
try:
    with open("/dev/hostile", "w"):
        passed.append("wrote to /dev")
except OSError:
    pass
print(f"BREACH: {passed}" if passed else "contained")
