"""The CEO of a storm, who cancels missions at random moments."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

from actors import messages as m
from actors.table import TABLE
from bus.envelope import Stored, open_letter

_LONGEST = 75
"""Messages that a mission may have had when it is cancelled: about as many as one has."""


class Cancels:
    """Cancels each of some missions once it has had so many messages as were drawn for it."""

    def __init__(self, chance: random.Random, names: list[str]) -> None:
        self._moments = {name: chance.randint(1, _LONGEST) for name in names}
        self._had: Counter[str] = Counter()
        self._seen = 0
        self.said: set[str] = set()

    async def look(self, log: list[Stored], ceo: Any) -> None:
        """Count what is new in the log, and cancel what has come to its moment."""
        self._had.update(stored.subject.split(".")[2] for stored in log[self._seen :])
        self._seen = len(log)
        for name in [name for name, moment in self._moments.items() if self._had[name] >= moment]:
            del self._moments[name]
            self.said.add(name)
            control = m.Control(action="cancel", reason="a random moment")
            await ceo.publish(
                open_letter(
                    TABLE,
                    sender="ceo",
                    to="coo",
                    mission=name,
                    message=control,
                    id=f"cancel-{name}",
                    time_ns=time.time_ns(),
                )
            )
