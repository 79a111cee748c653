"""Process 1 inside bubblewrap: writes the files, runs the program, hands back its end and the workspace.

Passed to the sandbox's Python as text, so it imports the standard library only. It reads one JSON line, the
files' contents and the program's input from its stdin; it writes two JSON lines and a tar to a descriptor
of its own. As process 1 of its name space it cannot be signalled from inside, and it makes itself
unreadable for the program.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from typing import Any

WORKSPACE = "/workspace"
_PR_SET_DUMPABLE = 4


def main() -> None:
    """Serve one order."""
    order = json.loads(sys.stdin.buffer.readline())
    hide()
    # Should the owner die before bwrap asked to die with it; process 1 ignores signals without a handler.
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
    signal.alarm(order["dead_man_s"])
    with open(order["answer_fd"], "wb") as answer:
        try:
            write_files(order["files"])
            source = program_input(order["stdin_bytes"])
        except OSError as error:
            say(answer, {"error": f"cannot write the files: {error.strerror}"})
            return
        say(answer, {})
        started = time.monotonic()
        program = subprocess.Popen(
            order["argv"], cwd=WORKSPACE, stdin=source, preexec_fn=lambda: confine(order["limits"])
        )
        for stream in (0, 1, 2):  # so that the streams end with the program
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        exit_code = wait_for(program.pid)
        wall_ms = round((time.monotonic() - started) * 1000)
        end_the_others()
        say(answer, {"exit_code": exit_code, "wall_ms": wall_ms, "cpu_ms": cpu_ms()})
        send_workspace(answer, order["file_bytes"])


def hide() -> None:
    """Make this process's memory and descriptors unreadable for the program, which has the same user."""
    import ctypes

    if ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError("prctl")


def say(answer: Any, message: dict[str, object]) -> None:
    """Write one line."""
    answer.write(json.dumps(message).encode() + b"\n")
    answer.flush()


def write_files(files: list[tuple[str, int]]) -> None:
    """Write the files, whose contents follow each other on stdin, into the workspace."""
    for path, size in files:
        target = os.path.join(WORKSPACE, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as out:
            out.write(sys.stdin.buffer.read(size))


def program_input(size: int) -> int:
    """Return a descriptor the program can read its input from."""
    if size == 0:
        return os.open(os.devnull, os.O_RDONLY)
    source = os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o600)
    with open(source, "wb", closefd=False) as out:
        out.write(sys.stdin.buffer.read(size))
    os.lseek(source, 0, os.SEEK_SET)
    return source


def confine(limits: dict[str, int]) -> None:
    """Set the program's resource limits, in the program's process."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def wait_for(program: int) -> int:
    """Reap everything until the program has ended; return its exit code, 128 + n after signal n."""
    import tarfile  # noqa: F401  # loaded while there is time: it is needed when the program has ended

    while True:
        pid, status = os.wait()
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def end_the_others() -> None:
    """Kill and reap what the program left running, so that nothing writes during the copy."""
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.wait()
    except (ProcessLookupError, ChildProcessError):
        pass


def cpu_ms() -> int:
    """Return the processor time of everything reaped."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1000)


def send_workspace(answer: Any, file_bytes: int) -> None:
    """Write the workspace as a tar; of a file beyond the cap, as much as shows that it is."""
    import tarfile

    with tarfile.open(fileobj=answer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for folder, folders, names in os.walk(WORKSPACE):
            folders.sort()
            for name in sorted(names + [one for one in folders if os.path.islink(os.path.join(folder, one))]):
                path = os.path.join(folder, name)
                entry = tar.gettarinfo(path, path[1:])
                if entry is None:  # a socket
                    continue
                if not entry.isreg():
                    tar.addfile(entry)
                    continue
                entry.size = min(entry.size, file_bytes + 1)
                os.chmod(path, 0o400)
                with open(path, "rb") as content:
                    tar.addfile(entry, content)


if __name__ == "__main__":
    main()
