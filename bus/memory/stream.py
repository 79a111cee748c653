"""A stream in memory: what it takes, what it refuses, and what it holds for a copy."""

from __future__ import annotations

from bus.envelope import Stored
from bus.errors import Occupied, Unknown
from bus.ports import PubAck
from bus.refusals import refusal, refusal_of_new
from bus.server.topology import Stream
from bus.subjects import matches
from bus.wire import head_of, header_in, stored_as


class MemoryStream:
    def __init__(self, spec: Stream) -> None:
        self.spec = spec
        self.messages: list[Stored] = []
        self._ids: dict[str, tuple[int, int]] = {}
        self._last_id = ""

    def append(self, subject: str, raw: bytes, body: bytes, now_ns: int) -> PubAck:
        if why := refusal(self.spec.name, self.messages, subject, raw):
            raise Unknown(f"{subject}: {why}")
        message_id = header_in(raw, "Nats-Msg-Id")
        known = self._ids.get(message_id)
        if known is not None and now_ns - known[1] < self.spec.duplicate_window_s * 1e9:
            return PubAck(known[0], True)
        if why := refusal_of_new(self._last_id, raw):
            raise Unknown(f"{subject}: {why}")
        if self.spec.write_once and any(m.subject == subject for m in self.messages):
            raise Occupied(subject)
        seq = len(self.messages) + 1
        self.messages.append(stored_as(seq, now_ns, subject, head_of(raw), body))
        self._last_id = message_id
        if message_id:
            self._ids[message_id] = (seq, now_ns)
        return PubAck(seq, False)

    def read(self, pattern: str, start: int, batch: int) -> list[Stored]:
        found = []
        for stored in self.messages[max(0, start - 1) :]:
            if matches(pattern, stored.subject):
                found.append(stored)
                if len(found) == batch:
                    break
        return found
