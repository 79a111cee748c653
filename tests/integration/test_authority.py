"""What the broker lets whom do: tried for every principal on a real nats-server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats as natspy
import pytest
from contract_world import hand_write

from actors.host.nats.conf import CONF
from actors.roles.engineer import ROLE as ENGINEER
from actors.table import MAILBOXES, TABLE
from bus import subjects
from bus.envelope import Outgoing
from bus.errors import NotPermitted, WrongCredentials
from bus.jetstream import connect
from bus.loops.role import RoleLoop
from bus.server import authority

ACTORS = (*TABLE.people, *TABLE.processes)
MARK = Outgoing("coo.m.m-1.coo.mission.ceo", {"Nats-Msg-Id": "mark", "ce-id": "mark"}, b'{"mark":1}')


def own(principal: str) -> set[str]:
    """Return the names under which a principal may write."""
    return {mailbox.name for mailbox in TABLE.mailboxes_of(principal)} or {principal}


def forbidden(principal: str) -> list[str]:
    """Return subjects that a principal must not be able to publish to."""
    mine = own(principal)
    found = [
        subjects.mail("m-1", row.to, row.kind, row.sender) for row in TABLE.rows if row.sender not in mine
    ]
    every = [mailbox.name for mailbox in MAILBOXES]
    for name in sorted({*every, "ceo"} - mine):
        found += [f"coo.b.{name}.{'0' * 64}.0", f"coo.dlq.{name}.m-1"]
    for name in sorted(set(every) - mine):
        found += [
            f"$JS.API.CONSUMER.MSG.NEXT.COO.{name}",
            f"$JS.ACK.COO.{name}.1.1.1.1795344000000000000.0",
            f"$JS.API.CONSUMER.INFO.COO.{name}",
        ]
    for sender in sorted(mine):  # kinds and addressees that the table does not give it
        found += [f"coo.m.m-1.{to}.raise.{sender}" for to in every if (sender, to) != ("approval", "budget")]
        found.append(f"coo.m.m-1.coo.mission.{sender}" if sender != "ceo" else "coo.m.m-1.qa.result.ceo")
    for stream in ("COO", "COO_BLOBS", "COO_DLQ"):
        found += [
            f"$JS.API.STREAM.{verb}.{stream}"
            for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "INFO", "MSG.GET", "MSG.DELETE", "SNAPSHOT")
        ]
    found += [f"$JS.API.CONSUMER.{verb}.COO.engineer" for verb in ("CREATE", "DELETE", "DURABLE.CREATE")]
    found += ["coo.hint.model-engineer.m-1", "coo.hint.coo.m-1"]
    found += ["$JS.API.INFO", "$JS.API.STREAM.LIST", "$SYS.REQ.SERVER.PING", "coo.anything"]
    return found


async def raw(nats: Any, principal: str, errors: list[str]) -> Any:
    """Connect without the bus, as somebody who took over a process would."""

    async def note(error: Exception) -> None:
        errors.append(str(error))

    return await natspy.connect(
        nats.server.url,
        user=principal,
        password=nats.passwords[principal],
        inbox_prefix=f"_INBOX_{principal}".encode(),
        error_cb=note,
    )


async def everything(nats: Any) -> list[tuple[str, str]]:
    """Return (stream, subject) of every message that is stored."""
    reader = await nats.connect("ceo")
    return [
        (stream, stored.subject)
        for stream in ("COO", "COO_BLOBS", "COO_DLQ")
        for stored in await reader.read(stream, "coo.>", 1)
    ]


@pytest.mark.parametrize("principal", ACTORS)
async def test_every_subject_that_the_table_does_not_give_is_refused(nats: Any, principal: str) -> None:
    errors: list[str] = []
    client = await raw(nats, principal, errors)
    tried = forbidden(principal)
    for subject in tried:
        await client.publish(subject, b'{"batch":1}', reply=client.new_inbox())
    await client.flush()
    async with asyncio.timeout(5):
        while len(errors) < len(tried):
            await asyncio.sleep(0.01)
    await client.close()

    refused = {error.split('publish to "')[1].split('"')[0] for error in errors}
    assert refused == {subject.lower() for subject in tried} | (refused & set(tried))
    assert await everything(nats) == []


@pytest.mark.parametrize("principal", ACTORS)
async def test_nobody_listens_to_another_s_inbox_or_to_the_mail_subjects(nats: Any, principal: str) -> None:
    errors: list[str] = []
    client = await raw(nats, principal, errors)
    others = {"model-coo", "model-engineer", "model-qa", "sandbox", "coo"} - set(TABLE.readers_of(principal))
    hints = [subjects.hint_filter(mailbox) for mailbox in others]
    tried = ("coo.m.>", "coo.hint.>", "_INBOX.>", "_INBOX_admin.>", "$JS.>", ">", *hints)
    for subject in tried:
        await client.subscribe(subject)
    await client.flush()
    async with asyncio.timeout(5):
        while len(errors) < len(tried):
            await asyncio.sleep(0.01)
    await client.close()


@pytest.mark.parametrize("principal", [name for name in TABLE.processes if TABLE.readers_of(name)])
async def test_a_reader_hears_that_its_answer_is_in_the_log(nats: Any, principal: str) -> None:
    (mailbox,) = TABLE.readers_of(principal)
    guard, reader = await nats.connect("budget"), await nats.connect(principal)
    heard: list[Any] = []
    await reader.listen(mailbox, heard.append)
    subject = subjects.mail("m-1", mailbox, "granted", "budget")
    await guard.publish(Outgoing(subject, {"Nats-Msg-Id": "g", "ce-id": "g"}, b"{}"))

    async with asyncio.timeout(5):
        while [stored.subject for stored in heard] != [subject]:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("principal", [name for name in ACTORS if name != "budget"])
async def test_headers_of_one_byte_do_not_end_the_server(nats: Any, principal: str) -> None:
    url, password = nats.server.url, nats.passwords[principal]
    before = await (await nats.connect("operator")).api("$JS.API.STREAM.INFO.COO", {})
    for n, row in enumerate(TABLE.rows_from(own(principal)), 1):
        subject = subjects.mail("m-1", row.to, row.kind, row.sender).encode()
        assert await hand_write(url, subject, b"x", b"hi", principal, password) == n
    reader = await nats.connect("operator")
    stored = await reader.read("COO", subjects.mission_filter(), 1)
    assert len(stored) == n
    assert (await reader.api("$JS.API.STREAM.INFO.COO", {}))["created"] == before["created"]


@pytest.mark.parametrize("principal", ACTORS)
async def test_an_answer_of_the_server_cannot_be_made_to_land_in_the_log(nats: Any, principal: str) -> None:
    admin = await nats.connect("operator")
    await admin.publish(MARK)
    before = await everything(nats)
    granted = authority.grants(TABLE, principal)
    errors: list[str] = []
    client = await raw(nats, principal, errors)
    mine = [subjects.mail("m-1", row.to, row.kind, row.sender) for row in TABLE.rows_from(own(principal))]
    targets = [
        "coo.m.m-1.approval.decision.ceo",
        "coo.m.m-1.budget.settle.model-engineer",
        "coo.dlq.coo.m-1",
        *mine[:3],
    ]
    asks = [subject for subject in granted.all if subject.startswith("$JS.")]
    for subject in asks:
        concrete = subject.replace(".>", ".1.1.1.1795344000000000000.0")
        for target in targets:
            for body in (b'{"seq":1}', b'{"seq":1,"next_by_subj":"coo.m.>","batch":5}', b'{"batch":1}', b""):
                await client.publish(concrete, body, reply=target)
    await client.flush()
    await asyncio.sleep(0.3)
    await client.close()

    assert asks
    assert await everything(nats) == before


async def test_streams_refuse_purge_deletion_and_rollup_also_to_the_admin(nats: Any) -> None:
    admin = await nats.connect("admin")
    operator = await nats.connect("operator")
    await operator.publish(MARK)

    for stream in ("COO", "COO_BLOBS", "COO_DLQ"):
        purge = await admin.api(f"$JS.API.STREAM.PURGE.{stream}", {})
        delete = await admin.api(f"$JS.API.STREAM.MSG.DELETE.{stream}", {"seq": 1})
        assert "error" in purge
        assert "error" in delete
    client = await raw(nats, "operator", [])
    answer = await client.request("coo.m.m-1.coo.mission.ceo", b"{}", headers={"Nats-Rollup": "all"})
    await client.close()
    assert "rollup not permitted" in json.loads(answer.data)["error"]["description"]
    assert await everything(nats) == [("COO", MARK.subject)]


async def test_a_write_that_is_refused_is_a_clear_error_and_not_a_time_out(nats: Any) -> None:
    engineer = await nats.connect("engineer")
    with pytest.raises(NotPermitted, match="engineer is not allowed"):
        await engineer.publish(Outgoing("coo.m.m-1.approval.decision.ceo", {}, b"{}"))
    assert isinstance(await asyncio.wait_for(engineer.failed(), 1), NotPermitted)


async def test_an_actor_that_reaches_for_another_s_mailbox_ends(nats: Any) -> None:
    qa = await nats.connect("qa")
    with pytest.raises(NotPermitted, match="qa is not allowed"):
        await asyncio.wait_for(RoleLoop(ENGINEER, TABLE, qa).run(asyncio.Event()), 5)


async def test_wrong_credentials_are_said_to_be_wrong(nats: Any) -> None:
    with pytest.raises(WrongCredentials, match="refuses the credentials of engineer"):
        await connect(nats.server.url, user="engineer", password="not it")
    with pytest.raises(WrongCredentials):
        await connect(nats.server.url)


def test_the_configuration_in_the_repository_is_what_the_table_gives() -> None:
    assert CONF.read_text("utf-8") == authority.render(TABLE)
