"""`coo bury`: shown first, done once, and refused where it would contradict the log."""

from __future__ import annotations

from typing import Any

import msgspec

from actors import messages as m
from actors.table import TABLE
from bus.envelope import open_letter
from bus.loops.publisher import publish_surely


async def decision(nats: Any, number: int) -> int:
    ceo = await nats.connect("ceo")
    answer = m.Decision(digest="0" * 64, verdict="reject", note=f"\x1b[31m{number}")
    letter = open_letter(
        TABLE,
        sender="ceo",
        to="approval",
        mission="m-1",
        message=answer,
        id=f"d-{number}",
        time_ns=ceo.now_ns(),
    )
    return await publish_surely(ceo, letter)


async def test_a_mail_that_nobody_decided_is_shown_then_buried_once(
    desk: Any, company: Any, nats: Any, until: Any
) -> None:
    seq = await decision(nats, 1)
    shown = await desk("bury", seq)
    assert shown.code == 0
    assert "coo.m.m-1.approval.decision.ceo" in shown.out
    assert "after it: nothing" in shown.out
    assert "\x1b" not in shown.out
    assert f"coo bury {seq} --yes" in shown.err
    told = (await desk("bury", seq, "--json")).json
    assert (told["burial"], told["decided_since"]) == (None, [])

    burial = (await desk("bury", seq, "--yes", "--reason", "it spins", "--json")).json["burial"]
    assert (await desk("bury", seq, "--yes", "--reason", "it spins", "--json")).json["burial"] == burial
    async with company(["approval"]):

        async def dead() -> list[Any]:
            entries: list[Any] = (await desk("dlq", "ls", "--json")).json
            return entries

        await until(dead)
        (entry,) = await dead()
        assert (entry["mailbox"], entry["reason"], entry["error"]) == ("approval", "buried", "it spins")
        assert entry["original"]["seq"] == seq

        replayed = await desk("dlq", "replay", entry["seq"])
        assert replayed.code == 0, replayed.err
        ceo = await nats.connect("ceo")

        async def answers() -> list[Any]:
            return [
                msgspec.json.decode(one.body) for one in await ceo.read("COO", "coo.m.m-1.ceo.declined.>", 1)
            ]

        await until(answers)
        assert len(await answers()) == 1
        verified = await desk("verify", "--all")
        assert verified.code == 0, verified.out + verified.err


async def test_what_was_decided_is_not_buried_without_force(
    desk: Any, company: Any, nats: Any, until: Any
) -> None:
    seq = await decision(nats, 1)
    ceo = await nats.connect("ceo")
    async with company(["approval"]):

        async def answers() -> list[Any]:
            found: list[Any] = await ceo.read("COO", "coo.m.m-1.ceo.declined.>", 1)
            return found

        await until(answers)
    shown = await desk("bury", seq)
    assert "coo.m.m-1.ceo.declined.approval" in shown.out
    refused = await desk("bury", seq, "--yes")
    assert (refused.code, "decision_changed" in refused.err) == (8, True)
    assert (await desk("bury", seq, "--yes", "--force")).code == 0


async def test_what_is_no_mail_of_a_role_is_not_buried(desk: Any, nats: Any) -> None:
    assert (await desk("bury", 99)).code == 7
    operator = await nats.connect("operator")
    run = m.Execute(run="run", number=0, rework=0, argv=("true",))
    order = open_letter(
        TABLE,
        sender="engineer",
        to="sandbox",
        mission="m-1",
        message=run,
        id="o-1",
        time_ns=operator.now_ns(),
    )
    refused = await desk("bury", await publish_surely(operator, order), "--yes")
    assert (refused.code, "folds nothing" in refused.err) == (8, True)
