"""Dead letters: seen, explained, sent again, and never trusted."""

from __future__ import annotations

from typing import Any

import pytest

from bus.envelope import Outgoing
from bus.publisher import publish_surely

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
