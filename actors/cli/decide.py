"""`coo approve`, `reject`, `pause`, `resume`, `cancel`: the CEO's word on a mission, and what it came to."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Literal, Optional

import msgspec
import typer

from actors import messages as m
from actors.cli.artifacts import WantedArgument
from actors.cli.connection import authority, connected
from actors.cli.options import DataDirOption, JsonOption, ServerOption, run
from actors.cli.screen import note, out, out_json
from actors.desk.asking import answer_to, say
from actors.errors import Kind, UserError
from actors.money import usd
from actors.plain import plain
from actors.projections.record import Record, find_mission, read_record
from actors.roles.coo.raising import digest_of as digest_of_raise
from actors.roles.evidence import digest_of
from bus.envelope import digest as hashed
from bus.ports import Carrier

Text = Optional[str]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the log.")]
AcceptOption = Annotated[
    bool,
    typer.Option("--accept-no-authority", help="Though the broker cannot tell who asks, or who approves."),
]
DigestOption = Annotated[
    Text, typer.Option("--digest", metavar="SHA256", help="Decide on exactly this, else on nothing.")
]

_NOTE_BYTES = 4 * 1024


def approve(
    wanted: WantedArgument,
    note: Annotated[str, typer.Option(metavar="TEXT", help="A note; it is kept in the log.")] = "",
    digest: DigestOption = None,
    accept: AcceptOption = False,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve exactly what a mission asks for now."""
    run(_decide(wanted, "approve", _checked(note), digest, as_json, data_dir, server, accept=accept))


def reject(
    wanted: WantedArgument,
    reason: ReasonOption,
    digest: DigestOption = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reject what a mission asks for; without its release it ends as failed, without a raise it waits."""
    if not reason.strip():
        raise UserError(Kind.USAGE, "--reason: say why.")
    run(_decide(wanted, "reject", _checked(reason), digest, as_json, data_dir, server, accept=True))


def pause(
    wanted: WantedArgument,
    reason: ReasonOption = "",
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pause a mission: nothing new is started, what is under way is dropped."""
    run(_control(wanted, "pause", _checked(reason), as_json, data_dir, server))


def resume(
    wanted: WantedArgument,
    reason: ReasonOption = "",
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a paused mission go on where it was."""
    run(_control(wanted, "resume", _checked(reason), as_json, data_dir, server))


def cancel(
    wanted: WantedArgument,
    reason: ReasonOption = "",
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a mission for good."""
    run(_control(wanted, "cancel", _checked(reason), as_json, data_dir, server))


def _checked(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise UserError(Kind.USAGE, "The text is not UTF-8.") from error
    if size > _NOTE_BYTES:
        raise UserError(Kind.USAGE, f"The text has {size} bytes; at most {_NOTE_BYTES} are taken.")
    return text.strip()


# -- deciding -------------------------------------------------------------------------------------------


async def _decide(
    wanted: str,
    verdict: Literal["approve", "reject"],
    words: str,
    digest: str | None,
    as_json: bool,
    data_dir: Path | None,
    server: str | None,
    *,
    accept: bool,
) -> None:
    async with connected(data_dir, server) as carrier:
        if not (carrier.guarded or accept):
            what = "Authority is not enforced there: anybody could have asked, and anybody could approve."
            fix = "Approve all the same: --accept-no-authority. Or give it accounts: coo setup --print-conf."
            raise UserError(Kind.UNREACHABLE, what, fix)
        record = await _read(carrier, wanted)
        asked = _asked(record, digest)
        _show(record)
        decision = m.Decision(digest=asked, verdict=verdict, note=words)
        letter_id = hashed("decision", record.name, asked, verdict)
        seq = await say(carrier, record.name, "approval", decision, letter_id)
        answer = await answer_to(carrier, record.name, seq, "approval", gate_says)
    told = {"verdict": verdict, "digest": asked, "answer": answer, "authority": authority(carrier)}
    _say(as_json, record.name, answer, told)


def _asked(record: Record, digest: str | None) -> str:
    """Return the digest of what is asked, after checking that it is that of what is shown.

    Raises:
        UserError: nothing is asked, something else is, or it was decided before.
    """
    name, status = record.name, record.status
    if status is None or status.state not in ("paused_approval", "paused_budget") or not status.asks:
        before = f" It was {', '.join(record.answers.values())} before." if record.answers else ""
        raise UserError(
            Kind.CONFLICT,
            f"{name} is {record.state}: nothing waits for your decision.{before}",
            f"See it: coo show {name}.",
        )
    if how := record.answers.get(status.asks):
        what = f"What {name} asks for was {how} before."
        raise UserError(Kind.CONFLICT, what, f"See what became of it: coo follow {name}.")
    if digest is not None and digest.strip().lower() != status.asks:
        what = f"{name} asks for {status.asks}, not for {plain(digest, 80)}: it has changed."
        raise UserError(Kind.CONFLICT, what, f"Look again: coo show {name}.")
    if _shown_digest(status) != status.asks:
        what = f"{name} asks for {status.asks}, but shows something with another digest. Nothing was decided."
        raise UserError(Kind.CONFLICT, what, f"End it: coo cancel {name}.")
    return status.asks


def _shown_digest(status: m.Status) -> str:
    if status.raise_microusd:
        return digest_of_raise(status.cap_microusd, status.raise_microusd)
    return digest_of(status.deliverable)


def _show(record: Record) -> None:
    """Show on stderr what is decided on."""
    assert record.status is not None
    if more := record.status.raise_microusd:
        cap = record.status.cap_microusd
        note(f"{record.name} asks to raise its cap from ${usd(cap)} to ${usd(cap + more)}.")
        return
    files = record.status.deliverable
    stands_on = f", evidence: {record.status.rank}" if record.status.rank else ""
    note(f"{record.name} asks to release {len(files)} files, sha256 {record.status.asks}{stands_on}:")
    for path, ref in sorted(files.items()):
        note(f"  {ref.size:>9}  {ref.digest[:16]}  {plain(path, 120)}")


def gate_says(message: msgspec.Struct) -> str | None:
    """Return the gate's word in a letter of its own, if it is one."""
    match message:
        case m.Approved():
            return "approved"
        case m.Rejected():
            return "rejected"
        case _:
            return None


# -- controlling ----------------------------------------------------------------------------------------


async def _control(
    wanted: str,
    action: Literal["pause", "resume", "cancel"],
    reason: str,
    as_json: bool,
    data_dir: Path | None,
    server: str | None,
) -> None:
    async with connected(data_dir, server) as carrier:
        record = await _read(carrier, wanted)
        if record.is_final:
            what = f"{action} changes nothing: {record.name} is {record.state}."
            raise UserError(Kind.CONFLICT, what, f"See it: coo show {record.name}.")
        control = m.Control(action=action, reason=reason)
        seq = await say(carrier, record.name, "coo", control, secrets.token_hex(16))
        state = await answer_to(carrier, record.name, seq, "coo", _coo_says)
    _say(as_json, record.name, state, {"action": action, "status": state})


def _coo_says(message: msgspec.Struct) -> str | None:
    return message.state if isinstance(message, m.Status) else None


# -- both -----------------------------------------------------------------------------------------------


async def _read(carrier: Carrier, wanted: str) -> Record:
    return await read_record(carrier, await find_mission(carrier, wanted))


def _say(as_json: bool, name: str, word: str, told: dict[str, str]) -> None:
    if as_json:
        out_json({"mission": name, **told})
        return
    out(f"{name} {word}")
    note(f"See what becomes of it: coo follow {name}")
