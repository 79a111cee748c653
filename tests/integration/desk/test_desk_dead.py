"""Dead letters: seen, explained, sent again, and never trusted."""

from __future__ import annotations

from typing import Any

import pytest

from actors import messages as m
from actors.table import TABLE
from bus.envelope import Outgoing, open_letter
from bus.loops.publisher import publish_surely

BODY = b'{"goal":"\x1b]0;owned\x07\x1b[31mred"}'


async def put(nats: Any, principal: str, subject: str, body: bytes, **headers: str) -> int:
    carrier = await nats.connect(principal)
    return await publish_surely(carrier, Outgoing(subject, {"Nats-Msg-Id": subject, **headers}, body))


@pytest.fixture
def letter() -> dict[str, str]:
    return {"ce-id": "broken", "ce-source": "/coo/coo", "ce-type": "coo.go_on"}


async def test_a_dead_letter_is_explained_and_replayed_once(
    desk: Any, company: Any, nats: Any, until: Any, letter: dict[str, str]
) -> None:
    assert "There are no dead letters" in (await desk("dlq", "ls")).err
    name = (await desk("mission", "Say hello", "--budget", "1")).out.strip()
    subject = f"coo.m.{name}.engineer.task.coo"
    seq = await put(nats, "operator", subject, BODY, **{**letter, "ce-type": "coo.task"})
    async with company(["engineer"]):

        async def dead() -> list[Any]:
            entries: list[Any] = (await desk("dlq", "ls", "--json")).json
            return entries

        await until(dead)
        (entry,) = await dead()
        assert (entry["mission"], entry["mailbox"], entry["reason"]) == (name, "engineer", "undecodable")
        assert entry["original"] == {"stream": "COO", "subject": subject, "seq": seq}
        listed = await desk("dlq", "ls")
        assert "undecodable" in listed.out

        shown = await desk("dlq", "show", entry["seq"])
        assert shown.code == 0
        assert subject in shown.out
        assert "\x1b" not in shown.out
        assert (await desk("dlq", "show", entry["seq"], "--raw")).out.encode() == BODY
        told = (await desk("dlq", "show", entry["seq"], "--json")).json
        assert (told["replays"], told["refused"]) == (0, "")

        dry = await desk("dlq", "replay", entry["seq"], "--dry-run")
        assert (dry.code, "broken:replay:1" in dry.out) == (0, True)
        assert "\x1b" not in dry.out
        replayed = await desk("dlq", "replay", entry["seq"])
        assert replayed.code == 0
        assert f"coo resume {name}" in replayed.err
        again = await desk("dlq", "replay", entry["seq"])
        assert again.code == 8
        assert "--again" in again.err
        more = await desk("dlq", "replay", entry["seq"], "--again", "--json")
        assert (more.code, more.json["id"], more.json["replay"]) == (0, "broken:replay:2", 2)
        assert (await desk("dlq", "show", entry["seq"], "--json")).json["replays"] == 2


async def test_what_is_not_there_or_forged_is_not_replayed(
    desk: Any, nats: Any, letter: dict[str, str]
) -> None:
    name = (await desk("mission", "Say hello", "--budget", "1")).out.strip()
    seq = (await desk("follow", name, "--json", "--timeout", "1s")).lines[0]["seq"]
    forged = {
        **letter,
        "coo-dlq-subject": f"coo.m.{name}.budget.raise.approval",
        "coo-dlq-seq": str(seq),
        "coo-dlq-reason": "raised",
    }
    await put(nats, "engineer", f"coo.dlq.engineer.{name}", b"{}", **forged)
    await put(nats, "engineer", "coo.dlq.engineer.m-x", b"{}", **{"coo-dlq-seq": "9" * 5000})
    for command in ("show", "replay"):
        assert (await desk("dlq", command, 99)).code == 7
    for entry in (1, 2):
        said = await desk("dlq", "replay", entry)
        assert (said.code, said.out) == (8, "")
        assert "Traceback" not in said.err
        assert (await desk("dlq", "show", entry)).code == 0
    assert "no replay" in (await desk("dlq", "show", 1)).out
    assert [entry["seq"] for entry in (await desk("dlq", "ls", "--json")).json] == [1, 2]


@pytest.fixture
async def poisoned(desk: Any, company: Any, nats: Any, until: Any) -> list[Any]:
    """Four dead letters in two missions: three of the gate, one of the engineer."""
    for number in range(4):
        kind, to, sender = ("decision", "approval", "ceo") if number < 3 else ("task", "engineer", "coo")
        subject = f"coo.m.m-{number % 2}.{to}.{kind}.{sender}"
        headers = {"ce-id": f"bad-{number}", "ce-source": f"/coo/{sender}", "ce-type": f"coo.{kind}"}
        await put(nats, "operator", subject, b'{"n":%d}' % number, **headers, **{"Nats-Msg-Id": f"b{number}"})

    async def entries() -> list[Any]:
        found: list[Any] = (await desk("dlq", "ls", "--json")).json
        return found if len(found) == 4 else []

    async with company(["approval", "engineer"]):
        await until(entries)
    return await entries()


async def replayed_in_log(nats: Any) -> list[tuple[str, bytes]]:
    ceo = await nats.connect("ceo")
    found = await ceo.read("COO", "coo.m.>", 1)
    return [(one.headers["coo-replay-of"], one.body) for one in found if "coo-replay-of" in one.headers]


async def test_a_query_replays_what_matches_once_however_often_it_is_typed(
    desk: Any, nats: Any, poisoned: list[Any]
) -> None:
    query = ("dlq", "replay", "--mailbox", "approval", "--mission", "m-0", "--since", "1h")
    dry = await desk(*query, "--dry-run")
    assert (dry.code, len(dry.out.splitlines())) == (0, 2)
    assert "2 would be replayed" in dry.err
    assert await replayed_in_log(nats) == []
    done = await desk(*query, "--json", "--rate", "200")
    assert [line["replay"] for line in done.lines] == [1, 1]
    again = await desk(*query)
    assert (again.out, "0 replayed, 2 were before" in again.err) == ("", True)
    assert await replayed_in_log(nats) == [("bad-0", b'{"n":0}'), ("bad-2", b'{"n":2}')]
    assert (await desk("dlq", "replay", "--reason", "raised")).out == ""


async def test_a_query_goes_on_past_what_is_forged(desk: Any, nats: Any, poisoned: list[Any]) -> None:
    forged = {"coo-dlq-subject": "coo.m.m-1.budget.raise.approval", "coo-dlq-seq": "1", "coo-dlq-reason": "x"}
    await put(nats, "engineer", "coo.dlq.engineer.m-1", b"{}", **forged)
    done = await desk("dlq", "replay", "--mission", "m-1")
    assert (done.code, len(done.out.splitlines())) == (8, 2)
    assert "1 refused" in done.err


async def test_an_edited_mail_is_shown_and_asked_about(
    desk: Any, nats: Any, poisoned: list[Any], tmp_path: Any
) -> None:
    (seq,) = [one["seq"] for one in poisoned if one["mailbox"] == "engineer"]
    (tmp_path / "body.json").write_text('{"n":"\x1b[31mmended"}\n')
    edited = ("dlq", "replay", seq, "--body", tmp_path / "body.json")
    for typed in (b"", b"n\n"):
        refused = await desk(*edited, stdin=typed)
        assert refused.code == 2
        assert "mended" in refused.err
        assert "bad-3:replay:1" in refused.err
        assert "\x1b" not in refused.err
        assert "Nothing was sent" in refused.err
    assert await replayed_in_log(nats) == []
    assert (await desk(*edited, stdin=b"y\n")).code == 0
    assert await replayed_in_log(nats) == [("bad-3", b'{"n":"\x1b[31mmended"}')]
    told = (await desk("dlq", "show", seq, "--json")).json
    assert [(one["edited"], told["replays"]) for one in told["history"]] == [(True, 1)]
    assert "edited" in (await desk("dlq", "show", seq)).out


async def test_a_number_and_a_query_exclude_each_other(desk: Any) -> None:
    for arguments in ((), (1, "--reason", "raised"), ("--since", "soon"), ("--reason", "x", "--body", "y")):
        assert (await desk("dlq", "replay", *arguments)).code == 2


async def test_a_dead_letter_says_what_its_mission_had_cost_when_it_died(
    desk: Any, company: Any, nats: Any, until: Any
) -> None:
    async def settle(attempt: str, microusd: int) -> None:
        carrier = await nats.connect("engineer")
        bill = m.Settle(attempt=attempt, microusd=microusd)
        letter = open_letter(
            TABLE,
            sender="model-engineer",
            to="budget",
            mission="m-1",
            message=bill,
            id=attempt,
            time_ns=carrier.now_ns(),
        )
        await publish_surely(carrier, letter)

    await settle("a.1", 500_000)
    headers = {"ce-id": "bad", "ce-source": "/coo/ceo", "ce-type": "coo.decision"}
    await put(nats, "operator", "coo.m.m-1.approval.decision.ceo", b"[]", **headers)

    async def dead() -> list[Any]:
        found: list[Any] = (await desk("dlq", "ls", "--json")).json
        return found

    async with company(["approval"]):
        await until(dead)
    await settle("b.1", 250_000)
    (entry,) = await dead()
    assert (await desk("dlq", "show", entry["seq"], "--json")).json["cost_so_far_usd"] == "0.50"
    assert "0.50 USD" in (await desk("dlq", "show", entry["seq"])).out


async def kill_gate_mail(nats: Any, numbers: range) -> None:
    """Put mail for the gate that it can never decide, each in a mission of its own."""
    for number in numbers:
        subject = f"coo.m.many-{number}.approval.decision.ceo"
        headers = {"ce-id": f"many-{number}", "ce-source": "/coo/ceo", "ce-type": "coo.decision"}
        await put(nats, "operator", subject, b"[]", **headers)


async def test_a_query_replays_what_was_dead_before_it_and_not_what_comes_of_that(
    desk: Any, company: Any, nats: Any, until: Any
) -> None:
    """The gate lives, so that each replay is a new dead letter at once, which the query matches too."""
    await kill_gate_mail(nats, range(3))

    async def dead(count: int) -> bool:
        return len((await desk("dlq", "ls", "--json")).json) >= count

    async with company(["approval"]):
        await until(lambda: dead(3))
        done = await desk("dlq", "replay", "--mailbox", "approval", "--rate", "2")
        assert (done.code, len(done.out.splitlines())) == (0, 3)
        assert "3 replayed" in done.err
        await until(lambda: dead(6))
    assert len(await replayed_in_log(nats)) == 3


async def test_more_than_twenty_replays_are_asked_about(
    desk: Any, company: Any, nats: Any, until: Any
) -> None:
    await kill_gate_mail(nats, range(21))

    async def dead() -> bool:
        return len((await desk("dlq", "ls", "--json")).json) == 21

    async with company(["approval"]):
        await until(dead)
    query = ("dlq", "replay", "--mailbox", "approval", "--rate", "1000")
    refused = await desk(*query)
    assert (refused.code, refused.out) == (2, "")
    assert "21 dead letters match" in refused.err
    assert "--yes" in refused.err
    assert await replayed_in_log(nats) == []
    assert len((await desk(*query, "--dry-run")).out.splitlines()) == 21
    few = await desk(*query, "--limit", "4")
    assert (few.code, len(few.out.splitlines())) == (0, 4)
    assert "more match than --limit" in few.err
    assert (await desk("dlq", "replay", "1", "--limit", "4")).code == 2
    assert (await desk(*query, "--again")).code == 2
    assert (await desk(*query, "--again", "--yes")).code == 0
    assert len(await replayed_in_log(nats)) == 4 + 21
