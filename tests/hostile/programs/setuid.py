r"""Become another user.

ends: ok
says: contained
"""

import os
import shutil
import subprocess

passed = []
for name, become in {
    "setuid": lambda: os.setuid(0),
    "setgid": lambda: os.setgid(0),
    "setresuid": lambda: os.setresuid(0, 0, 0),
    "setgroups": lambda: os.setgroups([0]),
    "the holder": lambda: os.setuid(65533),
}.items():
    try:
        become()
        passed.append(name)
    except OSError:
        continue
for folder, _, names in os.walk("/usr"):
    for name in names:
        try:
            if os.lstat(os.path.join(folder, name)).st_mode & 0o6000:
                passed.append(os.path.join(folder, name))
        except OSError:
            continue
with open("own", "wb") as own, open(shutil.which("id") or "/bin/sh", "rb") as source:
    own.write(source.read())
try:
    os.chmod("own", 0o6755)
    found = subprocess.run(["./own", "-u"], capture_output=True, text=True, check=False).stdout.strip()
    if found == "0":
        passed.append("a setuid file")
except OSError:
    pass
os.remove("own")
status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # noqa: SIM115 - it is about to be killed
passed += [name for name in ("CapEff", "CapPrm", "CapInh", "CapAmb") if int(status[name], 16)]
passed += [] if status["NoNewPrivs"].strip() == "1" else ["may gain privileges"]
print(f"BREACH: {passed}" if passed else "contained")
