r"""Leave links to what is not ours to be followed by whoever takes the files out.

ends: ok
brings: honest
"""

import contextlib
import os
import socket

for number, target in enumerate(
    ("/etc/passwd", "/proc/self/environ", "../../etc", "/", "honest", "/dev/zero")
):
    os.symlink(target, f"link{number}")
os.mkdir("folder")
os.symlink("/etc", "folder/out")
with contextlib.suppress(PermissionError):
    os.mkfifo("pipe")
socket.socket(socket.AF_UNIX).bind("socket")
with open("honest", "w") as file:
    file.write("content")
os.link("honest", "twice")
os.remove("twice")
