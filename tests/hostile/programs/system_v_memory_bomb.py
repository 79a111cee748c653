r"""Take memory that outlives its process.

ends: out_of_memory | ok
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, ctypes.c_size_t(1 << 30), 0o1600)
if segment < 0:
    print("contained")
    raise SystemExit
address = libc.shmat(segment, None, 0)
ctypes.memset(address, 1, 1 << 30)
print("BREACH: holds 1 GB")
