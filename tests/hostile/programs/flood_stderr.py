r"""Write to stderr for ever.

ends: output_limit
hits: flood_bytes, output_bytes
"""

import os

while True:
    os.write(2, b"x" * 65536)
