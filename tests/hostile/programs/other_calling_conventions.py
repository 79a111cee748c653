r"""Reach refused calls by the numbers of another calling convention.

ends: ok | failed
machine: x86_64
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "unshare (x32)": (0x40000000 + 272, 0x10000000),
    "ptrace (x32)": (0x40000000 + 521, 16, 1, 0, 0),
    "mount (x32)": (0x40000000 + 165, b"tmpfs", b"/tmp", b"tmpfs", 0, None),
    "keyctl (x32)": (0x40000000 + 250, 0, -3, 1),
}
passed = [name for name, call in calls.items() if libc.syscall(*call) != -1]
print(f"BREACH: {passed}" if passed else "contained")
