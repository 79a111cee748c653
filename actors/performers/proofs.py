"""What can be proven of performers from the log alone; the world's word is taken on trust.

A letter's id follows from its order, and the clock's state from the wakes and ticks that are in the log.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors import messages as m
from actors.performers.clock import NAME, opened
from actors.performers.model.attempts import ordinal_of
from actors.performers.wakes import MAX_WAKES, OpenWake, Wakes
from actors.table import TABLE
from bus.envelope import Stored, open_mail
from bus.errors import BadMail
from bus.subjects import COMPANY, address_of, parts_of
from bus.verify import Performers


class WakeProof:
    """Proves the clock's checkpoints: what is open was asked for, and what was asked for is open or done."""

    def __init__(self, messages: Sequence[Stored]) -> None:
        self._by_seq: dict[int, OpenWake] = {}
        self._done: dict[str, int] = {}
        self._closed: dict[str, list[int]] = {}
        self._replaced: dict[int, int] = {}
        self._newest: dict[str, OpenWake] = {}
        self._asked: dict[str, int] = {}
        for stored in messages:
            self._take(stored)

    def _take(self, stored: Stored) -> None:
        parts, address = parts_of(stored.subject), address_of(stored.subject)
        if (parts.kind, parts.sender) == ("tick", NAME):
            self._done.setdefault(stored.headers.get("coo-cause", ""), stored.seq)
        elif address is None:
            return
        elif (address.sender, address.kind) == ("coo", "close") and address.mission != COMPANY:
            self._closed.setdefault(address.mission, []).append(stored.seq)
        elif (address.to, address.kind) == (NAME, "wake"):
            try:
                mail = open_mail(TABLE, stored, stored.time_ns)
            except BadMail:
                return
            if not isinstance(mail.message, m.Wake):
                return
            wake = opened(mail, mail.message)
            if (replaced := self._newest.get(wake.place)) is not None:
                self._replaced[replaced.seq] = wake.seq
            self._by_seq[wake.seq] = self._newest[wake.place] = wake
            self._asked[wake.mission] = self._asked.get(wake.mission, 0) + 1

    def __call__(self, stored: Stored, position: int, content: bytes) -> bool:
        """Say whether a checkpoint's state can be that of a clock at its position."""
        address = address_of(stored.subject)
        try:
            open_wakes = msgspec.json.decode(content, type=Wakes).open
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        if address is None or address.mission != COMPANY or position >= stored.seq:
            return False
        known = all(
            place == wake.place and self._by_seq.get(wake.seq) == wake and wake.seq < stored.seq
            for place, wake in open_wakes.items()
        )
        return known and all(
            wake.place in open_wakes or self._is_over(wake, stored.seq)
            for wake in self._by_seq.values()
            if wake.seq <= position
        )

    def _is_over(self, wake: OpenWake, before: int) -> bool:
        """Say whether a wake may be open no more: ticked, replaced, its mission over, or one of too many."""
        done = self._done.get(f"{wake.sender}/{wake.id}", before)
        replaced = self._replaced.get(wake.seq, before)
        closed = any(wake.seq < seq < before for seq in self._closed.get(wake.mission, ()))
        return min(done, replaced) < before or closed or self._asked[wake.mission] > MAX_WAKES


PERFORMERS = Performers(ordinal_of, {NAME: WakeProof})
