r"""Mount something, or change the root.

ends: ok
says: contained
machine: x86_64
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "mount": (165, b"tmpfs", b"/tmp", b"tmpfs", 0, None),
    "bind mount": (165, b"/proc", b"/tmp", None, 4096, None),
    "umount2": (166, b"/workspace", 2),
    "pivot_root": (155, b"/tmp", b"/tmp"),
    "chroot": (161, b"/tmp"),
    "open_tree": (428, -100, b"/", 1),
    "move_mount": (429, -100, b"/tmp", -100, b"/workspace", 0),
    "fsopen": (430, b"tmpfs", 0),
    "fsmount": (432, -1, 0, 0),
    "fspick": (433, -100, b"/", 0),
    "mount_setattr": (442, -100, b"/", 0, ctypes.create_string_buffer(32), 32),
}
passed = [name for name, call in calls.items() if libc.syscall(*call) != -1]
print(f"BREACH: {passed}" if passed else "contained")
