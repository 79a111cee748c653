r"""Keep every processor busy.

ends: timeout
timeout_s: 2
"""

import os

for _ in range(3):
    if os.fork() == 0:
        break
while True:
    pass
