r"""Call what only administrators call.

ends: ok
says: contained
machine: x86_64
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "bpf": (321, 0, ctypes.create_string_buffer(128), 128),
    "perf_event_open": (298, ctypes.create_string_buffer(128), 0, -1, -1, 0),
    "userfaultfd": (323, 0),
    "init_module": (175, b"", 0, b""),
    "finit_module": (313, 0, b"", 0),
    "delete_module": (176, b"loop", 0),
    "kexec_load": (246, 0, 0, 0, 0),
    "reboot": (169, 0xFEE1DEAD, 672274793, 0, 0),
    "swapon": (167, b"/tmp/x", 0),
    "settimeofday": (164, ctypes.create_string_buffer(16), 0),
    "clock_settime": (227, 0, ctypes.create_string_buffer(16)),
    "sethostname": (170, b"hostile", 7),
    "iopl": (172, 3),
    "ioperm": (173, 0, 1, 1),
    "acct": (163, b"/tmp/x"),
    "syslog": (103, 3, ctypes.create_string_buffer(64), 64),
    "open_by_handle_at": (304, -100, ctypes.create_string_buffer(64), 0),
    "quotactl": (179, 0, 0, 0, 0),
    "move_pages": (279, 1, 0, 0, 0, 0, 0),
    "process_madvise": (440, 0, 0, 0, 0, 0),
    "fanotify_init": (300, 0, 0),
    "pidfd_getfd": (438, 0, 0, 0),
    "kcmp": (312, 1, 1, 0, 0, 0),
}
passed = [name for name, call in calls.items() if libc.syscall(*call) != -1]
print(f"BREACH: {passed}" if passed else "contained")
