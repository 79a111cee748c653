r"""Write to both streams from many processes, and end.

ends: output_limit
hits: flood_bytes, output_bytes
"""

import os
import sys

for number in range(8):
    if os.fork() == 0:
        while True:
            os.write(1 + number % 2, b"x" * 65536)
os.wait()
sys.exit(0)
