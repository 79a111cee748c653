r"""Find secrets in the environment of any process.

ends: ok
says: contained
"""

import os

found = [name for name, value in os.environ.items() if "hostile-secret" in value]
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            if b"hostile-secret" in file.read():
                found.append(pid)
    except OSError:
        continue
print(f"BREACH: {found}" if found else "contained")
