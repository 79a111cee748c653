"""What the CEO orders: a goal, a budget and terms, all of it checked before anything is published."""

from __future__ import annotations

import base64
import re
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from actors import messages as m
from actors.desk.errors import DeskError, Exit
from actors.desk.screen import plain
from actors.money import NotAnAmount, parse_usd
from actors.table import TABLE
from bus import subjects
from bus.envelope import Outgoing, Stored, digest, open_letter, open_mail
from bus.errors import BadLetter, BadMail, DecisionChanged
from bus.ports import Carrier
from bus.publisher import publish_surely
from bus.subjects import MAIL_STREAM

if TYPE_CHECKING:
    from config.settings import Settings

MAX_GOAL_BYTES = 16 * 1024
_READ_BYTES = 1024 * 1024
_LONGEST_S = 366 * 86_400

_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", re.ASCII)

_SECONDS = (86_400, 3_600, 60, 1)


def _wrong(what: str, fix: str = "") -> DeskError:
    return DeskError(Exit.USAGE, what, fix)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The options of `coo mission` as they were typed; None is what the settings say."""

    goal: str
    budget: str | None = None
    key: str | None = None
    approve: str | None = None
    model: str | None = None
    deadline: str | None = None
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class Order:
    """A mission ready to be published, and its id. `by_default`: nobody said what it may cost."""

    name: str
    mission: m.Mission
    by_default: bool = False


def resolve(wish: Wish, settings: Settings | None = None) -> Order:
    """Check an order and fill in what the settings say, those in force by default.

    Raises:
        DeskError: something is wrong with it, or with the settings.
    """
    if wish.key is not None and not wish.key.strip():
        raise _wrong("--id needs a key that is not empty.")
    goal = read_goal(wish.goal)
    budget = None if wish.budget is None else read_budget(wish.budget)
    settings = settings or _settings()
    cap = settings.limits.mission_microusd if budget is None else budget
    if cap <= 0:
        raise _wrong("limits.mission_usd is 0, so a mission needs a --budget of its own.")
    mission = m.Mission(goal=goal, budget_microusd=cap, terms=_terms(wish, settings))
    return Order(name=mission_id(wish.key), mission=mission, by_default=budget is None)


def mission_id(key: str | None) -> str:
    """Return the id of a mission: the same for the same key for ever, a new one without a key."""
    hashed = digest("mission-key", secrets.token_hex(16) if key is None else key)
    return "m-" + base64.b32encode(bytes.fromhex(hashed)).decode().lower()[:12]


def read_goal(text: str) -> str:
    """Return the goal: the text itself, `-` for standard input, `@FILE` for a file's content.

    Raises:
        DeskError: it is empty, above 16 KiB, no UTF-8, or the file cannot be read.
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
        DeskError: no amount, or not above zero.
    """
    try:
        budget = parse_usd(text)
    except NotAnAmount as error:
        raise _wrong(f"--budget: {plain(str(error), 200)}") from error
    if budget <= 0:
        raise _wrong("--budget: a mission needs more than 0.00.", "Write 2.00 (US dollars).")
    return budget


def read_duration(text: str, option: str) -> int:
    """Return seconds of a duration such as 90s, 30m, 2h or 1h30m; a bare number is seconds.

    Raises:
        DeskError: it is none, or zero, or more than a year.
    """
    found = _DURATION.fullmatch(text.strip())
    seconds = sum(int(n) * unit for n, unit in zip(found.groups("0"), _SECONDS, strict=True)) if found else 0
    if not 0 < seconds <= _LONGEST_S:
        raise _wrong(f"{option}: {plain(text, 40)} is no duration. Write 90s, 30m, 2h or 1h30m.")
    return seconds


def _settings() -> Settings:
    from config.settings import ConfigError, load

    try:
        return load()
    except ConfigError as error:
        raise _wrong(str(error).rstrip("."), "coo config validate shows every problem.") from error


def _terms(wish: Wish, settings: Settings) -> m.Terms:
    models: dict[str, str] = settings.models.roles.model_dump()
    if wish.model is not None:
        if wish.model not in settings.models.catalog:
            known = ", ".join(sorted(settings.models.catalog))
            raise _wrong(f"--model: there is no model {plain(wish.model, 80)}.", f"There is: {known}.")
        models = dict.fromkeys(models, wish.model)
    if wish.approve not in (None, "release", "none"):
        raise _wrong(f"--approve: {plain(wish.approve, 80)} is not known. Write release, or none.")
    ask = "release" in settings.approvals.ask if wish.approve is None else wish.approve == "release"
    deadline = wish.deadline
    return m.Terms(
        models=models,
        max_output_tokens=max(settings.models.catalog[name].max_output_tokens for name in models.values()),
        ask_release=ask,
        ask_raise="raise" in settings.approvals.ask,
        on_new_day=settings.approvals.on_new_day,
        max_rounds=settings.mission.max_rounds,
        max_loops=settings.mission.max_loops,
        max_mails=settings.mission.max_mails,
        max_tasks=settings.mission.max_tasks,
        deadline_s=settings.mission.deadline_s if deadline is None else read_duration(deadline, "--deadline"),
        pause_timeout_s=settings.mission.pause_timeout_s,
        approval_timeout_s=settings.approvals.timeout_s,
        run_timeout_s=settings.mission.run_timeout_s,
        margin_percent=settings.limits.safety_margin_percent,
        call_tokens=settings.mission.call_tokens,
        role_tokens={role: cap for role, cap in settings.mission.role_tokens if cap is not None},
        priority=wish.priority,
        park_after_s=settings.mission.park_after_s,
    )


# -- publishing -----------------------------------------------------------------------------------------


async def publish(carrier: Carrier, order: Order) -> bool:
    """Publish a mission unless the log has it; returns whether it had. Safe to repeat for ever.

    Raises:
        DeskError: the log has another mission under this id, or this one does not fit into a message.
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


def _other(name: str) -> DeskError:
    what = f"{name} was published before with another goal, budget or terms."
    return DeskError(Exit.CONFLICT, what, f"See it: coo show {name}. For another mission use another --id.")
