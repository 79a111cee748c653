r"""Change the kernel through /proc.

ends: ok
says: contained
"""

import os
import stat

own = (
    "/proc/self",
    "/proc/thread-self",
    *(f"/proc/{name}" for name in os.listdir("/proc") if name.isdigit()),
)
opened = []
for folder, folders, names in os.walk("/proc"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in own]
    for name in names:
        path = os.path.join(folder, name)
        try:
            file = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            masked = stat.S_ISCHR(os.fstat(file).st_mode)  # the engine put /dev/null over it
            os.close(file)
        except OSError:
            continue
        # Anybody may ask to be told of pressure; it changes nothing.
        if not masked and folder != "/proc/pressure":
            opened.append(path)
for path in ("/proc/1/oom_score_adj", "/proc/1/clear_refs", "/proc/1/mem"):
    try:
        os.close(os.open(path, os.O_WRONLY))
        opened.append(path)
    except OSError:
        continue
print(f"BREACH: {opened}" if opened else "contained")
