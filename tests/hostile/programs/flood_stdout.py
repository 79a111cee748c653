r"""Write to stdout for ever.

ends: output_limit
hits: flood_bytes, output_bytes
"""

import os

while True:
    os.write(1, b"x" * 65536)
