"""What the CEO orders: a goal, a budget and terms, all of it checked before anything is published."""

from __future__ import annotations

import base64
import secrets
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from actors import messages as m
from actors.desk.configuration import load_settings
from actors.desk.durations import read_duration
from actors.desk.limits import known_limits
from actors.desk.terms import company_settings
from actors.errors import Kind, UserError
from actors.plain import plain
from actors.table import TABLE
from bus import subjects
from bus.envelope import Outgoing, Stored, digest, open_letter, open_mail
from bus.errors import BadLetter, BadMail, DecisionChanged
from bus.loops.publisher import publish_surely
from bus.ports import Carrier
from bus.subjects import MAIL_STREAM
from config.amounts import NotAnAmount, microusd

MAX_GOAL_BYTES = 16 * 1024
_READ_BYTES = 1024 * 1024


def _wrong(what: str, fix: str = "") -> UserError:
    return UserError(Kind.USAGE, what, fix)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The options of `coo mission` as they were typed; None is what the company's settings say."""

    goal: str
    budget: str | None = None
    key: str | None = None
    approve: str | None = None
    model: str | None = None
    deadline: str | None = None
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A wish whose every option is right, whatever the company's settings say of it."""

    name: str
    goal: str
    budget: int | None
    approve: Literal["release", "none"] | None
    model: str | None
    deadline_s: int | None
    priority: int


@dataclass(frozen=True, kw_only=True)
class Order:
    """A mission ready to be published, and its id. `by_default`: nobody said what it may cost."""

    name: str
    mission: m.Mission
    by_default: bool = False


def resolve(wish: Wish, company: m.CompanySettings | None = None) -> Order:
    """Check an order and fill in what the company's settings say; without them, this terminal's.

    Raises:
        UserError: something is wrong with it, or with the settings.
    """
    draft = read(wish)
    return settle(draft, company or company_settings(load_settings()))


def read(wish: Wish) -> Draft:
    """Check an order as far as it can be without the company's settings, and read its goal.

    Raises:
        UserError: something is wrong with it.
    """
    if wish.key is not None and not wish.key.strip():
        raise _wrong("--id needs a key that is not empty.")
    return Draft(
        name=mission_id(wish.key),
        goal=read_goal(wish.goal),
        budget=None if wish.budget is None else read_budget(wish.budget),
        approve=_read_approve(wish.approve),
        model=wish.model,
        deadline_s=None if wish.deadline is None else read_duration(wish.deadline, "--deadline"),
        priority=wish.priority,
    )


def _read_approve(text: str | None) -> Literal["release", "none"] | None:
    match text:
        case None | "release" | "none":
            return text
        case _:
            raise _wrong(f"--approve: {plain(text, 80)} is not known. Write release, or none.")


def settle(draft: Draft, company: m.CompanySettings) -> Order:
    """Fill in what the company's settings say. An option wins over them, but not over what they ask for.

    Raises:
        UserError: the order names what the company has not, or takes away what it asks for.
    """
    cap = company.mission_microusd if draft.budget is None else draft.budget
    if cap <= 0:
        raise _wrong("limits.mission_usd is 0, so a mission needs a --budget of its own.")
    mission = m.Mission(goal=draft.goal, budget_microusd=cap, terms=_terms(draft, company))
    return Order(name=draft.name, mission=mission, by_default=draft.budget is None)


async def with_cap(carrier: Carrier, order: Order) -> Order:
    """Return an order that named no budget with the cap that the CEO has set since, if any."""
    known = await known_limits(carrier) if order.by_default else []
    if not known or known[-1][1].origin != "ceo":
        return order
    cap = known[-1][1].mission_microusd
    if not cap:
        what = "A mission that names no budget has none: the limit is 0."
        raise UserError(Kind.USAGE, what, "Give it a --budget, or coo budget set --mission USD.")
    return replace(order, mission=msgspec.structs.replace(order.mission, budget_microusd=cap))


def mission_id(key: str | None) -> str:
    """Return the id of a mission: the same for the same key for ever, a new one without a key."""
    hashed = digest("mission-key", secrets.token_hex(16) if key is None else key)
    return "m-" + base64.b32encode(bytes.fromhex(hashed)).decode().lower()[:12]


def read_goal(text: str) -> str:
    """Return the goal: the text itself, `-` for standard input, `@FILE` for a file's content.

    Raises:
        UserError: it is empty, above 16 KiB, no UTF-8, or the file cannot be read.
    """
    content, origin = _content(text)
    if len(content) > MAX_GOAL_BYTES:
        more = "more than " if len(content) > _READ_BYTES else ""
        size = f"{more}{min(len(content), _READ_BYTES)}"
        raise _wrong(
            f"The goal has {size} bytes; at most {MAX_GOAL_BYTES} (16 KiB) are taken.", "Shorten it."
        )
    try:
        goal = content.decode().strip()
    except UnicodeDecodeError as error:
        raise _wrong(f"The goal ({origin}) is not UTF-8 text.") from error
    if not goal:
        raise _wrong("The goal is empty.", "Say what is to be done: coo mission GOAL --budget USD.")
    return goal


def _content(text: str) -> tuple[bytes, str]:
    try:
        if text == "-":
            return sys.stdin.buffer.read(_READ_BYTES + 1), "standard input"
        if text.startswith("@"):
            with _open(text[1:]) as file:
                return file.read(_READ_BYTES + 1), plain(text[1:], 200)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise _wrong(f"Cannot read the goal from {plain(text.removeprefix('@'), 200)}: {why}.") from error
    return text.encode("utf-8", "surrogateescape"), "argument"


def _open(name: str) -> BinaryIO:
    return Path(name).expanduser().open("rb")


def read_budget(text: str) -> int:
    """Return a budget in micro-dollars.

    Raises:
        UserError: no amount, or not above zero.
    """
    try:
        budget = microusd(text)
    except NotAnAmount as error:
        raise _wrong(f"--budget: {plain(str(error), 200)}") from error
    if budget <= 0:
        raise _wrong("--budget: a mission needs more than 0.00.", "Write 2.00 (US dollars).")
    return budget


def _terms(draft: Draft, company: m.CompanySettings) -> m.Terms:
    chosen: dict[str, object] = {"priority": draft.priority}
    if draft.model is not None:
        if draft.model not in company.models:
            known = ", ".join(sorted(company.models))
            raise _wrong(f"--model: there is no model {plain(draft.model, 80)}.", f"There is: {known}.")
        chosen["models"] = dict.fromkeys(company.terms.models, draft.model)
        chosen["max_output_tokens"] = company.models[draft.model]
    if draft.approve == "none" and company.terms.ask_release:
        what = "--approve none: this company asks before every release (approvals.ask)."
        raise _wrong(what, "Leave the option out, or change the company's settings and start it again.")
    if draft.approve == "release":
        chosen["ask_release"] = True
    if draft.deadline_s is not None:
        chosen["deadline_s"] = draft.deadline_s
    return msgspec.structs.replace(company.terms, **chosen)


# -- publishing -----------------------------------------------------------------------------------------


async def publish(carrier: Carrier, order: Order) -> bool:
    """Publish a mission unless the log has it; returns whether it had. Safe to repeat for ever.

    Raises:
        UserError: the log has another mission under this id, or this one does not fit into a message.
    """
    letter = _letter(order, carrier.now_ns())
    known = await carrier.last(MAIL_STREAM, subjects.mail(order.name, "coo", "mission", "ceo"))
    if known is not None:
        if _mission_in(known) != order.mission:
            raise _other(order.name)
        return True
    try:
        await publish_surely(carrier, letter, patient=False)
    except DecisionChanged as error:
        raise _other(order.name) from error
    return False


def _letter(order: Order, time_ns: int) -> Outgoing:
    try:
        return open_letter(
            TABLE,
            sender="ceo",
            to="coo",
            mission=order.name,
            message=order.mission,
            id=digest("mission", order.name),
            time_ns=time_ns,
        )
    except BadLetter as error:
        what = "The goal does not fit into a message: control characters take six bytes each there."
        raise _wrong(what, "Shorten it.") from error


def _mission_in(stored: Stored) -> object:
    try:
        return open_mail(TABLE, stored, stored.time_ns).message
    except BadMail:
        return None


def _other(name: str) -> UserError:
    what = f"{name} was published before with another goal, budget or terms."
    return UserError(Kind.CONFLICT, what, f"See it: coo show {name}. For another mission use another --id.")
