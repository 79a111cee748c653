r"""Change devices and control groups through /sys.

ends: ok
says: contained
"""

import os

opened = []
for folder, _, names in os.walk("/sys"):
    for name in names:
        path = os.path.join(folder, name)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            opened.append(path)
        except OSError:
            continue
    try:
        os.mkdir(os.path.join(folder, "hostile"))
        opened.append(folder)
    except OSError:
        continue
print(f"BREACH: {opened[:5]}" if opened else "contained")
