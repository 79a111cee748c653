r"""Reach anything over a network, by name, address or raw packets.

ends: ok
says: contained
"""

import contextlib
import socket

reached = []
for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 443)),
    (socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80)),
    (socket.AF_INET, socket.SOCK_STREAM, ("172.17.0.1", 2375)),
    (socket.AF_INET, socket.SOCK_DGRAM, ("8.8.8.8", 53)),
    (socket.AF_INET6, socket.SOCK_STREAM, ("2606:4700:4700::1111", 443)),
    (socket.AF_INET, socket.SOCK_RAW, ("1.1.1.1", 0)),
    (17, socket.SOCK_RAW, ("lo", 0)),
    (socket.AF_UNIX, socket.SOCK_STREAM, "/var/run/docker.sock"),
    (socket.AF_UNIX, socket.SOCK_STREAM, "\0/containerd-shim"),
):
    try:
        with socket.socket(family, kind) as one:
            one.settimeout(1)
            one.connect(address)
            reached.append(address)
    except (OSError, OverflowError):
        continue
with contextlib.suppress(OSError):
    reached.append(socket.gethostbyname("example.org"))
with open("/proc/net/dev") as devices:
    reached += [
        line for line in list(devices)[2:] if line.split(":")[0].strip() not in ("lo", "tunl0", "sit0")
    ]
print(f"BREACH: {reached}" if reached else "contained")
