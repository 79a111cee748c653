"""With bodies of 500 bytes most letters are blobs: what chaos promises holds whatever their size."""

from __future__ import annotations

import pytest

from actors.chaos.faults import PROFILES
from actors.chaos.seeded import simulate
from actors.chaos.whole import mail_in
from bus import dataref, envelope
from bus.loops import checkpoints

SMALL = 500


@pytest.mark.parametrize("seed", range(3 * len(PROFILES)))
def test_a_run_ends_as_ever_when_its_letters_are_blobs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (dataref, envelope, checkpoints):
        monkeypatch.setattr(module, "MAX_BODY_BYTES", SMALL)
    seen: list[int] = []
    monkeypatch.setattr("actors.chaos.shown.mail_in", lambda *wanted: _noted(mail_in(*wanted), seen))
    ending = simulate(seed, replicas=1 + seed % 2)
    assert len(seen) > 5 or ending.state != "completed" or ending.by_the_ceo  # it may have ended early


def _noted(messages: list[envelope.Stored], seen: list[int]) -> list[envelope.Stored]:
    seen += [len(one.content) for one in messages if one.content is not None]
    return messages
