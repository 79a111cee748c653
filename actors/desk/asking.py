"""Saying something to a role as the CEO, and waiting for what it decides on exactly that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from actors import messages as m
from actors.errors import Kind, UserError
from actors.plain import plain
from actors.table import TABLE
from bus import subjects
from bus.envelope import Stored, decided_at, open_letter, open_mail
from bus.errors import BadMail, DecisionChanged
from bus.loops.publisher import publish_surely
from bus.ports import Carrier
from bus.subjects import MAIL_STREAM

ANSWER_S = 10.0
_POLL_S = 0.1

Says = Callable[[msgspec.Struct], str | None]


async def say(carrier: Carrier, name: str, to: str, message: msgspec.Struct, letter_id: str) -> int:
    """Publish a letter of the CEO's and return its sequence.

    Raises:
        UserError: the log has another letter of the CEO's under this id, or no server answers.
    """
    letter = open_letter(
        TABLE,
        sender="ceo",
        to=to,
        mission=name,
        message=message,
        id=letter_id,
        time_ns=carrier.now_ns(),
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            return await publish_surely(carrier, letter, patient=False)
    except TimeoutError as error:
        what = (
            f"The server has not answered in {ANSWER_S:.0f} s: your word on {name} may be in the log, or not."
        )
        raise UserError(Kind.UNREACHABLE, what, f"See what came of it: coo show {name}.") from error
    except DecisionChanged as error:
        what = f"You said the same on {name} before, with another note; the first one counts."
        raise UserError(Kind.CONFLICT, what, f"See it: coo show {name}.") from error


async def answer_to(carrier: Carrier, name: str, seq: int, role: str, says: Says) -> str:
    """Wait for the letter of a role that answers sequence `seq`, and return the word that `says` finds in it.

    Raises:
        UserError: the role declines, or does not answer in ten seconds.
    """
    start = seq + 1
    try:
        async with asyncio.timeout(ANSWER_S):
            while True:
                page = await carrier.read(MAIL_STREAM, subjects.mission_filter(name), start)
                for stored in page:
                    start = stored.seq + 1
                    if decided_at(stored) == seq and (word := _word(stored, name, role, says)):
                        return word
                if not page:
                    await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        what = f"Your word on {name} is in the log, but {role} has not answered in {ANSWER_S:.0f} s."
        fix = f"It counts as soon as {role} runs. See what came of it: coo show {name}."
        raise UserError(Kind.UNREACHABLE, what, fix) from error


async def raised_to(carrier: Carrier, name: str, raise_id: str, seq: int) -> int:
    """Wait until the guard has raised a mission's cap, and return it.

    Raises:
        UserError: the guard does not answer in ten seconds.
    """
    start = seq + 1
    try:
        async with asyncio.timeout(ANSWER_S):
            while True:
                page = await carrier.read(
                    MAIL_STREAM, subjects.mail_filter(name, "coo", "raised", "budget"), start
                )
                for stored in page:
                    start = stored.seq + 1
                    raised = _message(stored)
                    if isinstance(raised, m.Raised) and raised.digest == raise_id:
                        return raised.cap_microusd
                if not page:
                    await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        what = f"Your raise of {name} is in the log, but the guard has not answered in {ANSWER_S:.0f} s."
        fix = f"It counts as soon as budget runs. See what came of it: coo show {name}."
        raise UserError(Kind.UNREACHABLE, what, fix) from error


def _message(stored: Stored) -> msgspec.Struct | None:
    try:
        return open_mail(TABLE, stored, stored.time_ns).message
    except BadMail:
        return None


def _word(stored: Stored, name: str, role: str, says: Says) -> str | None:
    try:
        mail = open_mail(TABLE, stored, stored.time_ns)
    except BadMail:
        return None
    if mail.sender != role:
        return None
    if isinstance(mail.message, m.Declined):
        what = f"{role} declined on {name}: {plain(mail.message.reason, 300)}."
        raise UserError(Kind.CONFLICT, what, f"See it: coo show {name}.")
    return says(mail.message)
