r"""Write what is neither text nor what the engine's frames look like.

ends: ok
says: \x00\x01\x02��
"""

import os

os.write(1, b"\0\1\2\xff\xfe")
os.write(2, b"\1\0\0\0\xff\xff\xff\xff" * 1000 + b"\2\0\0\0\0\0\0\5")
