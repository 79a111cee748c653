"""`coo approve`, `reject`, `pause`, `resume`, `cancel`: the CEO's word on a mission, and what it came to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from actors.desk.artifacts import WantedArgument
from actors.desk.errors import DeskError, Exit
from actors.desk.main import DataDirOption, JsonOption, ServerOption, run

if TYPE_CHECKING:
    import msgspec

    from actors import messages as m
    from actors.desk.record import Record
    from bus.ports import Carrier

Text = Optional[str]  # noqa: UP045 - typer reads annotations at run time
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the log.")]
AcceptOption = Annotated[
    bool,
    typer.Option("--accept-no-authority", help="Though the broker cannot tell who asks, or who approves."),
]
DigestOption = Annotated[
    Text, typer.Option("--digest", metavar="SHA256", help="Decide on exactly this, else on nothing.")
]

_NOTE_BYTES = 4 * 1024


def register(app: typer.Typer) -> None:
    """Add the commands of decisions."""
    for command in (approve, reject, pause, resume, cancel):
        app.command(command.__name__)(command)


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
        raise DeskError(Exit.USAGE, "--reason: say why.")
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
        raise DeskError(Exit.USAGE, "The text is not UTF-8.") from error
    if size > _NOTE_BYTES:
        raise DeskError(Exit.USAGE, f"The text has {size} bytes; at most {_NOTE_BYTES} are taken.")
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
    from actors import messages as m
    from actors.desk.asking import answer_to, say
    from actors.desk.connection import authority, connected
    from bus.envelope import digest as hashed

    async with connected(data_dir, server) as carrier:
        if not (carrier.guarded or accept):
            what = "Authority is not enforced there: anybody could have asked, and anybody could approve."
            fix = "Approve all the same: --accept-no-authority. Or give it accounts: coo setup --print-conf."
            raise DeskError(Exit.UNREACHABLE, what, fix)
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
        DeskError: nothing is asked, something else is, or it was decided before.
    """
    from actors.desk.screen import plain

    name, status = record.name, record.status
    if status is None or status.state not in ("paused_approval", "paused_budget") or not status.asks:
        before = f" It was {', '.join(record.answers.values())} before." if record.answers else ""
        raise DeskError(
            Exit.CONFLICT,
            f"{name} is {record.state}: nothing waits for your decision.{before}",
            f"See it: coo show {name}.",
        )
    if how := record.answers.get(status.asks):
        what = f"What {name} asks for was {how} before."
        raise DeskError(Exit.CONFLICT, what, f"See what became of it: coo follow {name}.")
    if digest is not None and digest.strip().lower() != status.asks:
        what = f"{name} asks for {status.asks}, not for {plain(digest, 80)}: it has changed."
        raise DeskError(Exit.CONFLICT, what, f"Look again: coo show {name}.")
    if _shown_digest(status) != status.asks:
        what = f"{name} asks for {status.asks}, but shows something with another digest. Nothing was decided."
        raise DeskError(Exit.CONFLICT, what, f"End it: coo cancel {name}.")
    return status.asks


def _shown_digest(status: m.Status) -> str:
    from actors.agenda import digest_of
    from actors.raising import digest_of as digest_of_raise

    if status.raise_microusd:
        return digest_of_raise(status.cap_microusd, status.raise_microusd)
    return digest_of(status.deliverable)


def _show(record: Record) -> None:
    """Show on stderr what is decided on."""
    from actors.desk.screen import note, plain
    from actors.money import usd

    assert record.status is not None
    if more := record.status.raise_microusd:
        cap = record.status.cap_microusd
        note(f"{record.name} asks to raise its cap from ${usd(cap)} to ${usd(cap + more)}.")
        return
    files = record.status.deliverable
    note(f"{record.name} asks to release {len(files)} files, sha256 {record.status.asks}:")
    for path, ref in sorted(files.items()):
        note(f"  {ref.size:>9}  {ref.digest[:16]}  {plain(path, 120)}")


def gate_says(message: msgspec.Struct) -> str | None:
    """Return the gate's word in a letter of its own, if it is one."""
    from actors import messages as m

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
    import secrets

    from actors import messages as m
    from actors.desk.asking import answer_to, say
    from actors.desk.connection import connected

    async with connected(data_dir, server) as carrier:
        record = await _read(carrier, wanted)
        if record.is_final:
            what = f"{action} changes nothing: {record.name} is {record.state}."
            raise DeskError(Exit.CONFLICT, what, f"See it: coo show {record.name}.")
        control = m.Control(action=action, reason=reason)
        seq = await say(carrier, record.name, "coo", control, secrets.token_hex(16))
        state = await answer_to(carrier, record.name, seq, "coo", _coo_says)
    _say(as_json, record.name, state, {"action": action, "status": state})


def _coo_says(message: msgspec.Struct) -> str | None:
    from actors import messages as m

    return message.state if isinstance(message, m.Status) else None


# -- both -----------------------------------------------------------------------------------------------


async def _read(carrier: Carrier, wanted: str) -> Record:
    from actors.desk.record import find_mission, read_record

    return await read_record(carrier, await find_mission(carrier, wanted))


def _say(as_json: bool, name: str, word: str, told: dict[str, str]) -> None:
    from actors.desk.screen import note, out, out_json

    if as_json:
        out_json({"mission": name, **told})
        return
    out(f"{name} {word}")
    note(f"See what becomes of it: coo follow {name}")
