"""What the carriers, the loops and the proofs promise of letters too big for a body: as of every other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest
from random_messages import message_of, text_of

from actors.table import TABLE as COMPANY_TABLE
from bus import blobs, deadletters, subjects
from bus.dataref import MAX_BODY_BYTES, MAX_CONTENT_BYTES, is_dataref, named_by
from bus.envelope import Letter, Mail, Outgoing, Stored, base_headers, open_letter, open_mail
from bus.errors import BadLetter, BadMail
from bus.fold import Role, Step
from bus.loops.means import LoopSettings
from bus.loops.role import RoleLoop
from bus.subjects import BLOB_STREAM, DLQ_STREAM, MAIL_STREAM
from bus.table import Checkpoint, Error, Mailbox, Row, Table
from bus.verify import verify


class Tell(msgspec.Struct, frozen=True, kw_only=True):
    """Tell a story; it is told on with all that were told before."""

    story: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    stories: tuple[str, ...]


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    stories: tuple[str, ...] = ()


def handle(shelf: Shelf, mail: Mail) -> Step:
    match mail.message:
        case Tell(story=story):
            shelf = Shelf(stories=(*shelf.stories, story))
            return Step(shelf, [Letter(to="ceo", message=Told(stories=shelf.stories))])
        case _:
            return Step(shelf)


TABLE = Table(
    rows=(
        Row(kind="tell", sender="ceo", to="teller", message=Tell),
        Row(kind="tell", sender="friend", to="teller", message=Tell),
        Row(kind="told", sender="teller", to="ceo", message=Told),
        Row(kind="tell", sender="friend", to="office", message=Tell),
        Row(kind="error", sender="teller", to="teller", message=Error),
        Row(kind="error", sender="office", to="teller", message=Error),
        Row(kind="checkpoint", sender="teller", to="teller", message=Checkpoint),
        Row(kind="checkpoint", sender="office", to="office", message=Checkpoint),
    ),
    mailboxes=(
        Mailbox(name="teller", process="teller"),
        Mailbox(name="friend", process="friend", orders=("tell",)),
        Mailbox(name="office", process="office", per="company"),
        *(box for box in COMPANY_TABLE.mailboxes if box.name != "clock"),
    ),
    people=("ceo",),
    errors_to="teller",
)
TELLER: Role[Shelf] = Role(name="teller", version=1, state=Shelf, handle=handle)
OFFICE: Role[Shelf] = Role(name="office", version=1, state=Shelf, handle=handle)
BIG = 70_000


@pytest.fixture
def toy_table() -> Table:
    return TABLE


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blobs that are not there be given up after a moment."""
    monkeypatch.setattr(blobs, "_LATE_S", 0.3)
    monkeypatch.setattr(blobs, "_AGAIN_S", 0.02)


def tell(story: str, id: str, sender: str = "ceo", mission: str = "m-1", to: str = "teller") -> Outgoing:
    return open_letter(
        TABLE,
        sender=sender,
        to=to,
        mission=mission,
        message=Tell(story=story),
        id=id,
        time_ns=time.time_ns(),
    )


def naming(body: bytes, id: str, to: str = "teller") -> Outgoing:
    """Make a letter of the friend with any body."""
    headers = base_headers(id, "friend", "tell", time.time_ns())
    return Outgoing(f"coo.m.m-1.{to}.tell.friend", headers, body)


@asynccontextmanager
async def serving(carrier: Any, role: Role[Any] = TELLER, every: int = 256) -> AsyncIterator[None]:
    stop = asyncio.Event()
    settings = LoopSettings(ack_wait_s=1.0, drain_s=3.0, checkpoint_every=every)
    task = asyncio.create_task(RoleLoop(role, TABLE, carrier, settings).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def stories(carrier: Any) -> list[tuple[int, ...]]:
    """Return the lengths of the stories in every letter of the teller."""
    found = await everything(carrier, "coo.m.m-1.ceo.told.teller")
    told = [open_mail(TABLE, one, one.time_ns).message for one in found]
    return [tuple(map(len, one.stories)) for one in told]


async def reasons(carrier: Any, mailbox: str = "teller") -> list[str]:
    found = await carrier.read(DLQ_STREAM, f"coo.dlq.{mailbox}.m-1", 1)
    return [one.headers["coo-dlq-reason"] for one in found]


async def until(look: Any, wanted: object, *args: Any) -> None:
    async with asyncio.timeout(60):
        while await look(*args) != wanted:
            await asyncio.sleep(0.02)


async def everything(carrier: Any, pattern: str = "coo.m.>") -> list[Stored]:
    found: list[Stored] = []
    while page := await carrier.read(MAIL_STREAM, pattern, found[-1].seq + 1 if found else 1):
        found += page
    return found


# -- the carriers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_any_message_of_the_company_comes_back_equal_however_big(world: Any, seed: int) -> None:
    carrier, chance = await world.carrier(), Random(seed)
    sizes = []
    for n, row in enumerate(COMPANY_TABLE.rows):
        message = message_of(row.message, chance, chance.choice([20, 2_000, 60_000, 400_000]))
        size = len(msgspec.json.encode(message))
        most = MAX_CONTENT_BYTES if COMPANY_TABLE.takes_blobs(row.to) else MAX_BODY_BYTES
        if size > most:
            with pytest.raises(BadLetter, match=str(most)):
                _letter(row, message, f"{seed}-{n}")
            continue
        letter = _letter(row, message, f"{seed}-{n}")
        ack = await carrier.publish(letter)
        sizes.append(len(letter.content or letter.body))
        read = await carrier.read(MAIL_STREAM, letter.subject, ack.seq)
        for stored in (read[0], await carrier.last(MAIL_STREAM, letter.subject)):
            assert open_mail(COMPANY_TABLE, stored, 0).message == message
            assert letter.same_as(stored)
            assert len(stored.body) <= MAX_BODY_BYTES
    assert min(sizes) < MAX_BODY_BYTES < max(sizes)


def _letter(row: Row, message: msgspec.Struct, id: str) -> Outgoing:
    return open_letter(
        COMPANY_TABLE, sender=row.sender, to=row.to, mission="m-1", message=message, id=id, time_ns=0
    )


async def test_a_read_of_many_big_letters_ends_early_and_goes_on(world: Any) -> None:
    carrier = await world.carrier()
    for n in range(6):
        await carrier.publish(tell(f"{n}" * 1_000_000, f"t-{n}"))
    page = await carrier.read(MAIL_STREAM, "coo.m.>", 1)
    assert 0 < len(page) < 6
    assert [len(one.content or b"") > 10**6 for one in await everything(carrier)] == [True] * 6
    raw = await carrier.read(MAIL_STREAM, "coo.m.>", 1, whole=False)
    assert [one.content for one in raw] == [None] * 6


# -- the role loop ------------------------------------------------------------------------------------------


async def test_letters_that_add_up_to_more_than_a_body_go_on(world: Any) -> None:
    carrier = await world.carrier()
    sizes = [30_000, 30_000, 30_000, 200_000]
    wanted = [tuple(sizes[: n + 1]) for n in range(len(sizes))]
    async with serving(await world.carrier()):
        for n, size in enumerate(sizes):
            await carrier.publish(tell("x" * size, f"t-{n}"))
        await until(stories, wanted, carrier)
    assert await reasons(carrier) == []
    log = await everything(carrier)
    contents = {
        ref: await blobs.get(carrier, ref)
        for ref in (
            msgspec.json.decode(one.body, type=Checkpoint).blob
            for one in log
            if ".checkpoint." in one.subject
        )
        if ref is not None
    }
    report = verify(log, TABLE, {"teller": TELLER}, contents.__getitem__)
    assert report.findings == ()
    assert report.letters == len(sizes)


@pytest.mark.parametrize("seed", range(2))
async def test_big_letters_are_decided_once_through_kills_and_upgrades(world: Any, seed: int) -> None:
    carrier, chance = await world.carrier(), Random(seed)
    texts = [text_of(chance, chance.choice([100, BIG, 300_000])) for _ in range(6)]
    wanted = [tuple(map(len, texts[: n + 1])) for n in range(len(texts))]
    version = 1
    for n, text in enumerate(texts):
        await carrier.publish(tell(text, f"t-{n}"))
        doomed = await world.carrier()
        loop = RoleLoop(replace(TELLER, version=version), TABLE, doomed)
        await loop.start()
        if chance.random() < 0.7:
            await until(stories, wanted[: n + 1], carrier)
        await world.kill(doomed)
        loop._means.deliveries.let_go()
        await loop._means.publisher.stop()
        version += chance.random() < 0.5
    async with serving(await world.carrier(), replace(TELLER, version=version), every=2):
        await until(stories, wanted, carrier)
    assert await reasons(carrier) == []


async def test_a_letter_above_the_bound_is_an_outcome_that_says_so(world: Any) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        await carrier.publish(tell("x" * (MAX_CONTENT_BYTES - 1000), "t-1"))
        await carrier.publish(tell("x" * 2000, "t-2"))
        await carrier.publish(tell("x", "t-3"))
        await until(stories, [(MAX_CONTENT_BYTES - 1000,), (MAX_CONTENT_BYTES - 1000, 1)], carrier)
    [error] = await carrier.read(MAIL_STREAM, "coo.m.m-1.teller.error.teller", 1)
    assert "BadLetter: a Told of" in msgspec.json.decode(error.body, type=Error).detail


# -- bodies that name no blob that counts -------------------------------------------------------------------

MISSING = b'{"dataref":{"owner":"friend","digest":"' + b"0" * 64 + b'","size":70000}}'
BAD = {
    "missing": ("no_blob", MISSING),
    "of somebody else": ("bad_dataref", named_by("ceo", b"x" * BIG)),
    "huge": ("too_big", MISSING.replace(b"70000", b"64000000")),
    "small": ("too_big", MISSING.replace(b"70000", b"7")),
    "negative": ("bad_dataref", MISSING.replace(b"70000", b"-70000")),
    "endless number": ("bad_dataref", MISSING.replace(b"70000", b"9" * 4300)),
    "a number without an end": ("bad_dataref", MISSING.replace(b"70000", b"9" * 60_000)),
    "a digest with a line end": ("bad_dataref", MISSING.replace(b'","size"', b'\\n","size"')),
    "no digest": ("bad_dataref", MISSING.replace(b"0" * 64, b"../x")),
    "a pattern": ("bad_dataref", MISSING.replace(b"0" * 64, b"*")),
    "more": ("bad_dataref", MISSING[:-1] + b',"story":"x"}'),
    "cut": ("bad_dataref", MISSING[:-9]),
    "nested": ("bad_dataref", b'{"dataref":' + b"[" * 60_000),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_body_that_names_no_blob_of_its_sender_is_bad_mail(world: Any, soon: None, name: str) -> None:
    carrier, (reason, body) = await world.carrier(), BAD[name]
    await blobs.put(carrier, "ceo", b"x" * BIG)
    async with serving(await world.carrier()):
        await carrier.publish(naming(body, "bad"))
        await carrier.publish(tell("good", "t-1"))
        await until(stories, [(4,)], carrier)
        await until(reasons, [reason], carrier)
    async with serving(await world.carrier()):
        await carrier.publish(tell("and more", "t-2"))
        await until(stories, [(4,), (4, 8)], carrier)
    found = verify(await everything(carrier), TABLE, {"teller": TELLER}, {}.__getitem__).findings
    [finding] = found
    assert finding.why.startswith(f"mail that nobody takes: {reason}")


async def test_a_blob_that_comes_late_never_counts(world: Any, soon: None) -> None:
    carrier = await world.carrier()
    content = msgspec.json.encode(Tell(story="x" * BIG))
    async with serving(await world.carrier()):
        await carrier.publish(naming(named_by("friend", content), "late"))
        await until(reasons, ["no_blob"], carrier)
        await blobs.put(carrier, "friend", content)
    assert (await everything(carrier))[0].content is None
    async with serving(await world.carrier()):
        await carrier.publish(tell("good", "t-1"))
        await until(stories, [(4,)], carrier)
    assert await reasons(carrier) == ["no_blob"]


async def test_a_blob_that_comes_just_behind_its_letter_counts(world: Any) -> None:
    carrier = await world.carrier()
    content = msgspec.json.encode(Tell(story="x" * BIG))
    async with serving(await world.carrier()):
        await carrier.publish(naming(named_by("friend", content), "just behind"))
        await blobs.put(carrier, "friend", content)
        await until(stories, [(BIG,)], carrier)


async def test_a_mailbox_of_the_company_reads_no_blob(world: Any) -> None:
    carrier = await world.carrier()
    content = msgspec.json.encode(Tell(story="x" * BIG))
    await blobs.put(carrier, "friend", content)
    with pytest.raises(BadLetter, match=str(MAX_BODY_BYTES)):
        tell("x" * BIG, "t-1", sender="friend", to="office")
    async with serving(await world.carrier(), OFFICE):
        await carrier.publish(naming(named_by("friend", content), "big", to="office"))
        await until(reasons, ["too_big"], carrier, "office")


# -- dead letters -------------------------------------------------------------------------------------------


async def test_a_big_dead_letter_is_replayed_as_it_was(world: Any) -> None:
    carrier = await world.carrier()
    unhappy: Role[Shelf] = replace(TELLER, handle=_raise)
    async with serving(await world.carrier(), unhappy):
        await carrier.publish(tell("x" * BIG, "t-1"))
        await until(reasons, ["raised"], carrier)
    [dead] = await carrier.read(DLQ_STREAM, "coo.dlq.>", 1)
    assert is_dataref(dead.body)
    assert len((await deadletters.whole(carrier, dead)).text) > BIG
    with pytest.raises(deadletters.ReplayRefused, match="an edited body"):
        await deadletters.replay(carrier, deadletters.entry_of(dead), b"x" * BIG)
    again, _ = await deadletters.replay(carrier, deadletters.entry_of(dead))
    async with serving(await world.carrier(), replace(unhappy, handle=_raise_once)):
        await carrier.publish(again)
        await until(stories, [(BIG,)], carrier)


def _raise(shelf: Shelf, mail: Mail) -> Step:
    if isinstance(mail.message, Tell):
        raise ValueError("no more stories")
    return Step(shelf)


def _raise_once(shelf: Shelf, mail: Mail) -> Step:
    return _raise(shelf, mail) if mail.id == "t-1" else handle(shelf, mail)


async def test_the_blob_is_there_before_the_letter(world: Any) -> None:
    carrier = await world.carrier()
    letter = tell("x" * BIG, "t-1")
    seq = (await carrier.publish(letter)).seq
    ref = msgspec.json.decode(letter.body)["dataref"]
    chunk = await carrier.last(BLOB_STREAM, subjects.blob_chunk("ceo", ref["digest"], 0))
    stored = await carrier.get(MAIL_STREAM, seq)
    assert chunk.time_ns <= stored.time_ns
    with pytest.raises(BadMail):
        open_mail(TABLE, stored, 0)  # as it is on the wire: without its content nobody takes it for a story
