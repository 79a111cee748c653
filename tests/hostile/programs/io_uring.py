r"""Set up io_uring.

ends: ok
says: contained
machine: x86_64
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "io_uring_setup": (425, 8, ctypes.create_string_buffer(256)),
    "io_uring_enter": (426, 0, 0, 0, 0, 0),
    "io_uring_register": (427, 0, 0, 0, 0),
}
passed = [name for name, call in calls.items() if libc.syscall(*call) != -1]
print(f"BREACH: {passed}" if passed else "contained")
