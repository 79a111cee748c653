r"""Leave the input unread and flood meanwhile.

ends: output_limit
hits: flood_bytes, output_bytes
stdin_bytes: 3000000
"""

import os

while True:
    os.write(1, b"x" * 65536)
