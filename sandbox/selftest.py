"""Ask a program in a sandbox what it can reach, before anything else is run there."""

import secrets
import tempfile
from typing import Protocol

import msgspec

from sandbox.errors import Unavailable
from sandbox.order import Order, Outcome

# Prints the names of the probes that got through. Every one of them must fail.
_PROBES = """
import ctypes, json, os, socket, sys
def connects(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(1)
        one.connect(address)
def opens(path, mode):
    with open(path, mode):
        pass
def unshares():
    if ctypes.CDLL(None).unshare(0x10000000) != 0:
        raise OSError
probes = {
    "is root": lambda: os.getuid() and 1 // 0,
    "reached the network": lambda: connects(socket.AF_INET, ("192.0.2.1", 80)),
    "opened a socket to the hypervisor": lambda: socket.socket(40, socket.SOCK_STREAM),
    "read a file of the host": lambda: opens(sys.argv[1], "rb"),
    "read the host's passwords": lambda: opens("/etc/shadow", "rb"),
    "wrote outside its workspace": lambda: opens("/usr/local/probe", "wb"),
    "wrote to /dev": lambda: opens("/dev/probe", "wb"),
    "wrote a kernel setting": lambda: opens("/proc/sys/kernel/core_pattern", "r+b"),
    "made a name space": unshares,
    "sees its keeper's memory": lambda: opens("/proc/1/mem", "rb"),
}
passed = []
for name, probe in probes.items():
    try:
        probe()
        passed.append(name)
    except (OSError, ZeroDivisionError):
        pass
print(json.dumps(passed))
"""


class Runs(Protocol):
    """Whatever runs orders."""

    async def run(self, order: Order) -> Outcome: ...


async def self_test(backend: Runs) -> None:
    """Run the probes.

    Raises:
        Unavailable: the sandbox did not start, or a probe got through; the reason names it.
    """
    with tempfile.NamedTemporaryFile(prefix="coo-probe-") as host_file:
        order = Order(
            id=f"self-test-{secrets.token_hex(8)}",
            argv=("python", "-c", _PROBES, host_file.name),
            timeout_s=20.0,
        )
        outcome = await backend.run(order)
    if outcome.status != "ok":
        last = outcome.stderr.head.strip().rpartition("\n")[2]
        raise Unavailable(
            f"the sandbox does not work here: {outcome.reason}; {last}".rstrip("; "),
            outcome.fix or "docs/sandbox.md says what each backend needs",
        )
    passed = msgspec.json.decode(outcome.stdout.head, type=list[str])
    if passed:
        raise Unavailable(f"a program in the sandbox {', '.join(passed)}", "use Docker")
