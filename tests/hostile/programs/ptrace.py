r"""Trace processes, or read and write their memory.

ends: ok
says: contained
machine: x86_64
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "attach": (101, 16, 1, 0, 0),
    "seize": (101, 0x4206, 1, 0, 0),
    "trace me": (101, 0, 0, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "process_vm_writev": (311, 1, 0, 0, 0, 0, 0),
}
passed = [name for name, call in calls.items() if libc.syscall(*call) != -1]
print(f"BREACH: {passed}" if passed else "contained")
