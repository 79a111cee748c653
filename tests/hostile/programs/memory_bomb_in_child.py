r"""Take memory in a child and end well oneself.

ends: ok | out_of_memory
"""

import subprocess
import sys

subprocess.run([sys.executable, "-c", "held = []\nwhile True: held.append(b'x' * 4_000_000)"], check=False)
print("the child is gone")
