"""Letters of a taken actor that name blobs which are not there keep nobody else waiting."""

from __future__ import annotations

import asyncio
import time

import pytest
from memory_company import OVER, memory_company

from bus import blobs
from bus.envelope import Outgoing, base_headers

WRITTEN = (("coo", "result"), ("sandbox", "execute"))
BOOKED = (("budget", "reserve"), ("budget", "sent"), ("budget", "settle"))


def missing(mission: str, to: str, kind: str, sender: str, n: int) -> Outgoing:
    """Make a letter whose blob nobody stored."""
    headers = base_headers(f"missing-{n}", sender, kind, time.time_ns())
    body = b'{"dataref":{"owner":"%s","digest":"%064x","size":70000}}' % (sender.encode(), n)
    return Outgoing(f"coo.m.{mission}.{to}.{kind}.{sender}", headers, body)


async def test_missions_of_others_go_on_beside_letters_whose_blobs_never_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blobs, "_LATE_S", 3600)  # whoever waits for one does not come back in this test
    async with memory_company() as company:
        for n in range(60):
            (to, kind), mission = WRITTEN[n % 2], f"taken-{n % 7}"
            await company.ceo.publish(missing(mission, to, kind, "engineer", n))
            to, kind = BOOKED[n % 3]
            await company.ceo.publish(missing(mission, to, kind, "model-engineer", 1000 + n))
        await company.mission("Write fizzbuzz")
        status = await company.until(*OVER)
        assert status.state == "completed", status.reason
        dead = company.server.stream("COO_DLQ").messages
        assert len([one for one in dead if one.subject.startswith("coo.dlq.budget.")]) == 60
        for _, _, task, _ in company._running:  # nobody has to be waited for
            task.cancel()
        await asyncio.sleep(0)
        company._running.clear()
