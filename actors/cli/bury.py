"""`coo bury`: have every fold skip a mail that kills whoever decides it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actors.cast import table
from actors.cli.connection import connected
from actors.cli.options import DataDirOption, JsonOption, ServerOption, run
from actors.cli.screen import note, out, out_json, out_pairs
from actors.errors import Kind, UserError
from actors.plain import plain, plain_lines
from bus import blobs
from bus.envelope import Outgoing, Stored, decided_at, digest, open_letter, rfc3339
from bus.errors import BadMail
from bus.loops.publisher import publish_surely
from bus.ports import Carrier
from bus.reading import pages
from bus.subjects import ANY, MAIL_STREAM, Address, mail_filter, parse_mail
from bus.table import BURIED, OPERATOR, Buried

_SHOWN = 20


def bury(
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=1, help="The message that kills.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only shown.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also if it, or mail after it, was decided.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the dead letters.")] = "it kills",
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Skip a message for ever: every fold passes it by, and it becomes a dead letter."""
    run(_bury(seq, yes, force, reason, as_json, data_dir, server))


async def _bury(
    seq: int, yes: bool, force: bool, reason: str, as_json: bool, data_dir: Path | None, server: str | None
) -> None:
    async with connected(data_dir, server, OPERATOR) as carrier:
        stored, address = await _find(carrier, seq)
        decided = await _decided_since(carrier, stored, address)
        told = _told(stored, address, decided)
        sent = None
        if yes and decided and not force:
            what = (
                f"{address.to} has decided this message or later ones: {len(decided)} letters are in the log."
            )
            fix = (
                f"Burying stops {address.to} there with decision_changed. See them: coo bury {seq}; --force."
            )
            raise UserError(Kind.CONFLICT, what, fix)
        if yes:
            sent = await publish_surely(
                carrier, _burial(address, seq, reason, carrier.now_ns()), patient=False
            )
    _tell(told, sent, as_json)


async def _find(carrier: Carrier, seq: int) -> tuple[Stored, Address]:
    """Return a mail that can be buried.

    Raises:
        UserError: there is none at that sequence.
    """
    stored = await carrier.get(MAIL_STREAM, seq) if seq < 2**63 else None
    if stored is None:
        raise UserError(Kind.NOT_FOUND, f"There is no message {seq}.", "See which one kills: coo logs.")
    try:
        address = parse_mail(stored.subject)
    except BadMail as error:
        raise UserError(
            Kind.CONFLICT, f"Message {seq} is not mail that could be decided: {error}."
        ) from error
    if (address.to, BURIED) not in {(row.to, row.kind) for row in table().rows}:
        what = f"Message {seq} is for {address.to}, which folds nothing."
        raise UserError(Kind.CONFLICT, what, "An order that kills its performer is answered as failed.")
    return await blobs.whole(carrier, stored), address


async def _decided_since(carrier: Carrier, stored: Stored, address: Address) -> list[Stored]:
    """Return the letters that the mailbox has decided at that mail or after it."""
    key = ANY if table().mailbox(address.to).per == "company" else address.mission
    pattern = mail_filter(key, sender=address.to)
    found = [one async for page in pages(carrier, MAIL_STREAM, pattern, stored.seq + 1) for one in page]
    return [letter for letter in found if decided_at(letter) >= stored.seq]


def _burial(address: Address, seq: int, reason: str, time_ns: int) -> Outgoing:
    return open_letter(
        table(),
        sender=OPERATOR,
        to=address.to,
        mission=address.mission,
        message=Buried(seq=seq, reason=reason),
        id=digest("buried", seq),
        time_ns=time_ns,
    )


def _told(stored: Stored, address: Address, decided: list[Stored]) -> dict[str, Any]:
    return {
        "seq": stored.seq,
        "time": rfc3339(stored.time_ns),
        "subject": stored.subject,
        "mailbox": address.to,
        "mission": address.mission,
        "id": stored.headers.get("ce-id", ""),
        "body": stored.text.decode("utf-8", "replace"),
        "decided_since": [{"seq": letter.seq, "subject": letter.subject} for letter in decided],
    }


def _tell(told: dict[str, Any], sent: int | None, as_json: bool) -> None:
    if as_json:
        out_json({**told, "burial": sent})
        return
    seq, decided = told["seq"], told["decided_since"]
    if sent is not None:
        out(f"message {seq} is buried by message {sent}")
        note(f"{told['mailbox']} skips it; see the copy: coo dlq ls. A mission it paused: coo resume.")
        return
    out_pairs({name: plain(str(told[name]), 400) for name in ("seq", "time", "subject", "id")})
    out(f"\nbody\n{plain_lines(told['body']).rstrip()}")
    out(f"\ndecided at it or after it: {len(decided) or 'nothing'}")
    for letter in decided[:_SHOWN]:
        out(f"  {letter['seq']} {plain(letter['subject'])}")
    note(f"Nothing was sent. Bury it: coo bury {seq} --yes{' --force' if decided else ''}")
