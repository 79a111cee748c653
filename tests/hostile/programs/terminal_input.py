r"""Type into the terminal of whoever started it.

ends: ok
says: contained
"""

import fcntl
import os
import termios

typed = []
for path in ("/dev/tty", "/dev/console", "/proc/1/fd/0", "/proc/self/fd/0"):
    try:
        fcntl.ioctl(os.open(path, os.O_RDWR | os.O_NONBLOCK), termios.TIOCSTI, b"x")
        typed.append(path)
    except OSError:
        continue
print(f"BREACH: {typed}" if typed else "contained")
