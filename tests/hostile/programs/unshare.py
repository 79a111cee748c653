r"""Make or enter name spaces.

ends: ok
says: contained
machine: x86_64
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "unshare user": (272, 0x10000000),
    "unshare mount": (272, 0x20000),
    "unshare network": (272, 0x40000000),
    "unshare process": (272, 0x20000000),
    "unshare host name": (272, 0x4000000),
    "unshare ipc": (272, 0x8000000),
    "unshare control group": (272, 0x2000000),
    "clone with a user name space": (56, 0x10000000 | 17, 0, 0, 0, 0),
    "clone3": (435, ctypes.create_string_buffer(88), 88),
    "setns": (308, 0, 0),
}
passed = [name for name, call in calls.items() if libc.syscall(*call) != -1]
print(f"BREACH: {passed}" if passed else "contained")
