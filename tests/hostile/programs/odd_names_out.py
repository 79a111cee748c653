r"""Name files so that they hurt whoever takes them out.

ends: ok
brings: ..., $(reboot), a..b, ~
"""

import contextlib

names = ["a..b", "...", "--help", "$(reboot)", "~", "new\nline", "\x1b[2J", "\u202egnp.exe", "back\\slash"]
for name in [*(name.encode() for name in names), b"bad\xff\xfe", b"\x7f"]:
    with contextlib.suppress(OSError), open(name, "w") as file:
        file.write("x")
