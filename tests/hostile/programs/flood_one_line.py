r"""Write a line that never ends, one byte at a time.

ends: timeout
timeout_s: 1
"""

import os

while True:
    os.write(1, b"x")
