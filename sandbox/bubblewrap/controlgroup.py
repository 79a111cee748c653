"""One control group for each run under bubblewrap, where the kernel lets this process make one.

The group's name carries its owner, so that a sweep finds what a dead one left. All of it blocks, for
milliseconds; the kernel waits for its processors when a process changes groups.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sandbox.bubblewrap.hierarchy import Place, places
from sandbox.owner import Owner, give_up, is_dead, new_owner
from sandbox.policy import Policy

_PREFIX = "coo-sandbox"
# bwrap itself and process 1 within, which are not the program's.
_OWN_PROCESSES = 2
_EMPTY_WITHIN_S = 5.0
_LOOK_AGAIN_S = 0.005
# Its answer is what a started sandbox waits for; ends when its owner dies.
WAIT_FOR_WORD = ("/bin/sh", "-c", 'read -r word && exec "$@"', "sh")


class ControlGroup:
    """Bound one run. Made empty; whoever starts a process puts it in before it does anything."""

    def __init__(self, version: int, memory: Path, pids: Path) -> None:
        self._version = version
        self._memory = memory
        self._pids = pids

    def make(self, policy: Policy) -> None:
        """Make the group with a policy's limits; one of the same name is removed first.

        Raises:
            OSError: the kernel refuses; nothing is left then.
        """
        self.remove()
        try:
            for folder in self._folders():
                folder.mkdir()
            if self._version == 1:
                self._limit_v1(policy.memory_bytes)
            else:
                _write(self._memory / "memory.max", policy.memory_bytes)
                _write_if_there(self._memory / "memory.swap.max", 0)
            _write(self._pids / "pids.max", policy.pids + _OWN_PROCESSES)
        except BaseException:
            self.remove()
            raise

    def add(self, pid: int) -> None:
        """Put a process in; its children will be in as well.

        Raises:
            OSError: the kernel refuses.
        """
        for folder in self._folders():
            _write(folder / "cgroup.procs", pid)

    def limits_hit(self) -> frozenset[str]:
        """Return the policy's fields that ended or refused something."""
        memory = "memory.oom_control" if self._version == 1 else "memory.events"
        hit = set()
        if _counter(self._memory / memory, "oom_kill"):
            hit.add("memory_bytes")
        if _counter(self._pids / "pids.events", "max"):
            hit.add("pids")
        return frozenset(hit)

    def kill(self) -> None:
        """Kill everything in the group and wait until it is empty, some seconds at most."""
        with contextlib.suppress(OSError):
            _write(self._pids / "pids.max", 0)  # nothing forks away from us
        give_up_at = time.monotonic() + _EMPTY_WITHIN_S
        while (members := self._members()) and time.monotonic() < give_up_at:
            with contextlib.suppress(OSError):
                _write_if_there(self._pids / "cgroup.kill", 1)
            self._kill_each(members)
            time.sleep(_LOOK_AGAIN_S)

    def remove(self) -> bool:
        """Kill what is in the group and remove it; tell whether it is gone. A missing one is."""
        self.kill()
        gone = [_removed(folder) for folder in self._folders()]  # each, whatever becomes of another
        return all(gone)

    def _limit_v1(self, memory_bytes: int) -> None:
        _write(self._memory / "memory.limit_in_bytes", memory_bytes)
        # Without swap accounting: the run's pages stay where they are counted.
        if not _write_if_there(self._memory / "memory.memsw.limit_in_bytes", memory_bytes):
            _write_if_there(self._memory / "memory.swappiness", 0)

    def _folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self._memory, self._pids)))

    def _members(self) -> set[int]:
        found: set[int] = set()
        for folder in self._folders():
            with contextlib.suppress(OSError):
                found |= {int(pid) for pid in (folder / "cgroup.procs").read_text("ascii").split()}
        return found - {0}

    def _kill_each(self, members: set[int]) -> None:
        """Kill by handle, and only who is still a member once we hold it: a pid may be another's by then."""
        with contextlib.ExitStack() as handles:
            held = {}
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    held[pid] = os.pidfd_open(pid)
                    handles.callback(os.close, held[pid])
            for pid in self._members() & held.keys():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(held[pid], signal.SIGKILL)


class ControlGroups:
    """Make groups for one backend's runs. `close` makes what it could not remove anybody's to sweep."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._owner = new_owner()

    def new(self, order_id: str, policy: Policy) -> ControlGroup:
        """Return an empty group.

        Raises:
            OSError: the kernel refuses.
        """
        space, owner = _process_space(), self._owner
        name = f"{_PREFIX}.{space}.{owner.pid}.{owner.start}.{owner.serial}.{order_id}"
        group = ControlGroup(self.place.version, self.place.memory / name, self.place.pids / name)
        group.make(policy)
        return group

    def sweep(self, older_than_s: float = 0.0) -> tuple[str, ...]:
        """Kill and remove groups of dead owners, wherever they were made; return their order's ids."""
        swept: dict[str, None] = {}
        for folder in _ours(self.place.tops):
            _, space, pid, start, serial, order_id = folder.name.split(".", 5)
            owner = self._named(int(pid), start, serial)
            if space != _process_space() or not is_dead(owner) or _age_s(folder) < older_than_s:
                continue
            if ControlGroup(self.place.version, folder, folder).remove():
                swept[order_id] = None
        return tuple(swept)

    def close(self) -> None:
        """Give the owner up; no run may be under way."""
        give_up(self._owner)

    def _named(self, pid: int, start: str, serial: str) -> Owner:
        return msgspec.structs.replace(self._owner, pid=pid, start=start, serial=serial)


def open_groups(policy: Policy) -> ControlGroups | None:
    """Return groups that work here, tried with a process; None when no group can be had."""
    for place in places():
        groups = ControlGroups(place)
        try:
            _try(groups, policy)
            return groups
        except (OSError, subprocess.SubprocessError):
            groups.close()
    return None


def _try(groups: ControlGroups, policy: Policy) -> None:
    group = groups.new("trial", policy)
    try:
        with subprocess.Popen((*WAIT_FOR_WORD, "/bin/true"), stdin=subprocess.PIPE, env={}) as process:
            try:
                group.add(process.pid)
            finally:
                process.kill()
    finally:
        group.remove()


def _process_space() -> str:
    """Return the pid name space: another one's pids mean nothing here."""
    return str(os.stat("/proc/self/ns/pid").st_ino)


def _ours(tops: tuple[Path, ...]) -> Iterator[Path]:
    for top in tops:
        for place, folders, _ in os.walk(top):
            yield from (Path(place, name) for name in folders if _is_ours(name))
            folders[:] = [name for name in folders if not _is_ours(name)]


def _is_ours(name: str) -> bool:
    parts = name.split(".", 5)
    return len(parts) == 6 and parts[0] == _PREFIX and parts[2].isdecimal()


def _age_s(folder: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - folder.stat().st_mtime
    return 0.0


def _removed(folder: Path) -> bool:
    """Remove a group; its last process is counted for a moment after it has ended."""
    give_up_at = time.monotonic() + _EMPTY_WITHIN_S
    while True:
        try:
            folder.rmdir()
            return True
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() >= give_up_at:
                return False
            time.sleep(_LOOK_AGAIN_S)


def _write(file: Path, value: int) -> None:
    # Never makes a file: what is not there is not the kernel's.
    with open(os.open(file, os.O_WRONLY | os.O_CLOEXEC), "wb", buffering=0) as out:
        out.write(str(value).encode("ascii"))


def _write_if_there(file: Path, value: int) -> bool:
    try:
        _write(file, value)
    except FileNotFoundError:
        return False
    return True


def _counter(file: Path, name: str) -> int:
    try:
        lines = [line.split() for line in file.read_text("ascii").splitlines()]
    except OSError:
        return 0
    return next((int(words[1]) for words in lines if words[:1] == [name]), 0)
