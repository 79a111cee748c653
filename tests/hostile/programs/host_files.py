r"""Read what belongs to the machine or to other users.

ends: ok
says: contained
"""

import os
import sys

canary = sys.argv[2]
wanted = [canary, "/etc/shadow", "/root/.bashrc", "/var/run/docker.sock", "/run/docker.sock", "/proc/kcore"]
wanted += [f"/proc/{pid}/{way}{canary}" for pid in (1, os.getppid()) for way in ("root", "cwd")]
wanted += ["/proc/1/environ", "/proc/1/mem", "/sys/firmware/efi", "/proc/1/cwd/x", "/.dockerenv/x"]
opened = []
for path in wanted:
    try:
        with open(path, "rb") as file:
            if file.read(1):
                opened.append(path)
    except OSError:
        continue
print(f"BREACH: {opened}" if opened else "contained")
