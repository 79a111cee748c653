r"""Find processes that are not the sandbox's own.

ends: ok
says: contained
"""

import os

seen = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        continue
    seen.append(os.path.basename(words[0].decode()) or "?")
strangers = [name for name in seen if name not in ("docker-init", "sleep", "sh", "python", "python3", "tini")]
print(f"BREACH: {strangers}" if strangers or len(seen) > 5 else "contained")
