r"""Write what would drive a reader's terminal.

ends: ok
says: \x1b]0;owned\x07\x1b[2J
"""

import sys

sys.stdout.write("\x1b]0;owned\x07\x1b[2J")
