"""The mail that a fold has had, so that a second copy of one is skipped. Pure.

It forgets: of each sender in each mission it knows at least the last `MOST` ids and at most twice as many,
and nothing of a mission that the role says is over. A copy comes from a process that stood still; within the
duplicate window the server drops it, and past that a sender's copy comes before so many newer ones of it.
"""

from __future__ import annotations

MOST = 2_048

_Ids = dict[str, dict[str, set[str]]]


class Seen:
    """Ids by mission and sender, in two generations: a full one becomes the older, whose ids are dropped."""

    def __init__(self) -> None:
        self._newer: _Ids = {}
        self._older: _Ids = {}

    def __contains__(self, mission: str) -> bool:
        return mission in self._newer

    def add(self, mission: str, sender: str, id: str) -> bool:
        """Take in an id and return whether it is a new one."""
        newer = self._newer.setdefault(mission, {})
        ids = newer.setdefault(sender, set())
        if id in ids or id in self._older.get(mission, {}).get(sender, ()):
            return False
        if len(ids) >= MOST:
            self._older.setdefault(mission, {})[sender] = ids
            ids = newer[sender] = set()
        ids.add(id)
        return True

    def forget(self, mission: str) -> None:
        self._newer.pop(mission, None)
        self._older.pop(mission, None)

    def copy(self) -> Seen:
        twin = Seen()
        twin.restore(*self.snapshot())
        return twin

    def snapshot(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Return both generations, the newer first: `<sender>/<id>` by mission, in order."""
        return _flat(self._newer), _flat(self._older)

    def restore(self, newer: dict[str, list[str]], older: dict[str, list[str]]) -> None:
        self._newer, self._older = _nested(newer), _nested(older)


def _flat(ids: _Ids) -> dict[str, list[str]]:
    return {
        mission: sorted(f"{sender}/{id}" for sender, own in senders.items() for id in own)
        for mission, senders in ids.items()
    }


def _nested(names: dict[str, list[str]]) -> _Ids:
    nested: _Ids = {}
    for mission, own in names.items():
        senders = nested.setdefault(mission, {})
        for name in own:
            sender, _, id = name.partition("/")
            senders.setdefault(sender, set()).add(id)
    return nested
