r"""Use the kernel's keyrings.

ends: ok
says: contained
machine: x86_64
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "keyctl": (250, 0, -3, 1),
    "add_key": (248, b"user", b"hostile", b"x", 1, -3),
    "request_key": (249, b"user", b"hostile", None, -3),
}
passed = [name for name, call in calls.items() if libc.syscall(*call) != -1]
print(f"BREACH: {passed}" if passed else "contained")
