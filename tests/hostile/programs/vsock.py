r"""Talk to the hypervisor, which no network name space prevents.

ends: ok
says: contained
"""

import socket

made = []
for family in (40, *range(3, 10), *range(11, 16), *range(17, 46)):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        try:
            socket.socket(family, kind).close()
            made.append(family)
        except OSError:
            continue
print(f"BREACH: socket families {made}" if made else "contained")
