r"""Raise one's own limits.

ends: ok
says: contained
"""

import os
import resource

passed = []
for name in ("NOFILE", "FSIZE", "CORE"):
    number = getattr(resource, f"RLIMIT_{name}")
    try:
        resource.setrlimit(number, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        passed.append(name)
    except (OSError, ValueError):
        continue
try:
    os.nice(-10)
    passed.append("nice")
except OSError:
    pass
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    passed.append("real time")
except OSError:
    pass
print(f"BREACH: {passed}" if passed else "contained")
