"""The mail that a fold has had: a copy is known, however many missions and messages come and go."""

from __future__ import annotations

from random import Random

from bus.seen import MOST, Seen


def test_a_copy_is_known_among_the_last_messages_of_its_sender() -> None:
    seen = Seen()
    for n in range(5 * MOST):
        assert seen.add("m-1", "clock", f"{n}")
        for older in (n, max(0, n - MOST // 2), max(0, n - MOST + 1)):
            assert not seen.add("m-1", "clock", f"{older}")
        assert seen.add("m-1", "ceo", "limits") is (n == 0)  # another sender's messages push nothing out
    newer, older_ids = seen.snapshot()
    assert len(newer["m-1"]) + len(older_ids["m-1"]) <= 2 * MOST + 1


def test_what_is_restored_goes_on_as_what_was_saved() -> None:
    for seed in range(20):
        chance, seen, twin = Random(seed), Seen(), Seen()
        for _ in range(200):
            mission, sender = chance.choice(["m-1", "m-2"]), chance.choice(["coo", "qa"])
            id = f"{chance.randint(0, 60)}"
            assert seen.add(mission, sender, id) is twin.add(mission, sender, id)
            if chance.random() < 0.05:
                seen.forget(mission)
                twin.forget(mission)
            if chance.random() < 0.2:
                restored = Seen()
                restored.restore(*twin.snapshot())
                twin = restored
            assert seen.snapshot() == twin.snapshot()


def test_nothing_is_left_of_a_mission_that_is_forgotten() -> None:
    seen = Seen()
    for n in range(3 * MOST):
        seen.add("m-1", "qa", f"{n}")
    seen.forget("m-1")
    assert seen.snapshot() == ({}, {})
    assert "m-1" not in seen
