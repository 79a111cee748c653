"""The company with one of its actors taken over, under a seed, and what it promises all the same.

The taken process goes on as it was, and beside it somebody writes with its account what `Adversary` makes.
Mission m-1 is not named by the adversary, and must come to the calm end; m-2 is its playground, and needs the
CEO's release, which is never given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from actors import messages as m
from actors.chaos.adversary import Adversary, Forged
from actors.chaos.blame import NAMED, SPARED, misled_in, misnamed
from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.faults import PROFILES, Odds
from actors.chaos.seeded import calm, check_ending, verified
from actors.chaos.shown import LOOKED_FOR, Failed
from actors.chaos.simulation import END_S, GOAL, Simulation, begin
from actors.chaos.whole import whole_in
from actors.table import CALLERS, TABLE
from bus import subjects
from bus.envelope import Stored, readable
from bus.errors import BusError, Occupied, Unknown
from bus.server import authority
from bus.wire import text_of

MESSAGES = 60
_ACTIVE_S = 40.0
_RESUME_EVERY = 8
"""The CEO resumes what bad mail has paused, after as many messages."""

_QUIET_S = 150.0
_QUIET_MESSAGES = 40
"""Most messages in `_QUIET_S` when all is done: a guard that holds something wakes once a minute."""


@dataclass(frozen=True, kw_only=True)
class Promises:
    """What holds although a process is taken; always: nobody else's process ends, every forgery is named.

    `survives`: nor does its own; a guard stops when its one key holds letters that it does not decide.
    `others_complete`: missions that it does not name end as in a calm run, for the same money; unless it may
    open accounts and use up the day in them (not `leaves_money`): then they may wait for the next day.
    `within_limits`: no grant passes a limit. `released_by_ceo`: nothing is released without the CEO's word.
    """

    survives: bool = True
    others_complete: bool = True
    leaves_money: bool = True
    within_limits: bool = True
    released_by_ceo: bool = True


PROMISES: dict[str, Promises] = {
    "coo": Promises(leaves_money=False, released_by_ceo=False),
    "engineer": Promises(),
    "qa": Promises(),
    "budget": Promises(survives=False, others_complete=False, within_limits=False),
    "approval": Promises(released_by_ceo=False),
    "sandbox": Promises(),
    "clock": Promises(),
}
"""What remains when a process is taken, by process: each hosts its mailboxes, a model's beside its role's."""


class TakenCompany(Simulation):
    """A simulation in which somebody writes with the account of `process`."""

    def __init__(self, seed: int, odds: Odds, process: str, messages: int = MESSAGES) -> None:
        super().__init__(seed, odds)
        self.process = process
        self.forged: dict[str, dict[int, Forged]] = {"COO": {}, "COO_BLOBS": {}, "COO_DLQ": {}}
        self._adversary = Adversary(TABLE, process, Random(f"{seed} {process}"), [NAMED], [SPARED])
        self._left = messages
        self._promises = PROMISES[process]
        self.stopped = False
        self._spared: dict[str, list[tuple[Stored, Any]]] = {}

    async def play(self, replicas: int) -> None:
        attack = asyncio.create_task(self._attack())
        attack.add_done_callback(self._attacked)
        try:
            await super().play(replicas)
        finally:
            attack.cancel()
            await asyncio.gather(attack, return_exceptions=True)

    async def _wait(self, pause_s: float, log: Sequence[Stored]) -> None:
        """Wait some time, or for the next message, to be faster than whoever answers it."""
        chance, before = self._adversary.chance, len(log)
        end = self._now() + chance.uniform(0.0, 2 * pause_s)
        is_fast = chance.random() < 0.4
        while self._now() < end and not (is_fast and len(log) > before):
            await asyncio.sleep(0.002 if is_fast else end - self._now())

    def _attacked(self, attack: asyncio.Task[None]) -> None:
        if not attack.cancelled():
            self.error = attack.exception() or self.error

    async def _attack(self) -> None:
        await asyncio.sleep(0.01)
        models = dict.fromkeys(CALLERS, "scripted")
        terms = m.Terms(models=models, ask_release=True)
        await self._say("coo", NAMED, m.Mission(goal=GOAL, budget_microusd=10**7, terms=terms), "said-m-2")
        carrier = self.server.connect(authority.grants(TABLE, self.process).all)
        heard, resumed = 0, 0
        pause_s = _ACTIVE_S / max(1, self._left)
        while self._left:
            log = self.server.stream("COO").messages
            await self._wait(pause_s, log)
            for stored in log[heard:]:
                self._adversary.hear(stored)
            heard = len(log)
            message = self._adversary.message()
            try:
                ack = carrier.write(*message)
                if not ack.duplicate:
                    self.forged[stream_of(message)][ack.seq] = message
            except (Unknown, Occupied):
                pass
            self._left -= 1
            if self._left % _RESUME_EVERY == 0:
                resumed += 1
                await self._say("coo", NAMED, m.Control(action="resume"), f"resume-{resumed}")

    async def _run(self, process: str, name: str, is_new: bool, left_s: float | None) -> bool:
        if process == self.process and self.stopped:
            await asyncio.sleep(END_S)  # its supervisor has given it up
        return await super()._run(process, name, is_new, left_s)

    def _judge(self, name: str, error: BaseException | None, is_old: bool) -> None:
        if (
            name.startswith(f"{self.process}-")
            and not self._promises.survives
            and isinstance(error, BusError)
        ):
            self.stopped = True
        else:
            super()._judge(name, error, is_old)

    # -- looking: only at the mission that is spared ----------------------------------------------------

    def mail(self, kind: str) -> list[tuple[Stored, Any]]:
        messages = self.server.stream("COO").messages
        for stored in messages[self._looked_at :]:
            parts = subjects.parts_of(stored.subject)
            if parts.mission == SPARED and parts.kind in LOOKED_FOR:
                mail = readable(TABLE, whole_in(self.server, stored))
                if mail is not None:
                    self._spared.setdefault(mail.kind, []).append((stored, mail.message))
        self._looked_at = len(messages)
        return self._spared.get(kind, [])

    def is_at_rest(self) -> bool:
        over = self.stopped or self.waits_for_the_day() or super().is_at_rest()
        return not self._left and over and self._is_quiet()

    def waits_for_the_day(self) -> bool:
        """Say whether the spared mission waits because the adversary has used up the day's money."""
        status = self.state()
        if self._promises.leaves_money or status is None or status.state != "paused_budget":
            return False
        return status.refusal is not None and status.refusal.scope in ("day", "month")

    def _is_quiet(self) -> bool:
        """Say whether next to nothing was written for a while."""
        since_ns = self._clock() - int(_QUIET_S * 1e9)
        log = self.server.stream("COO").messages
        return len(log) > _QUIET_MESSAGES and log[-_QUIET_MESSAGES].time_ns < since_ns


def stream_of(message: Forged) -> str:
    """Return the stream in which a message is stored."""
    return subjects.stream_of(text_of(message.subject)) or subjects.MAIL_STREAM


def attacked(
    seed: int, process: str, odds: Odds | None = None, replicas: int = 1, messages: int = MESSAGES
) -> TakenCompany:
    """Play both missions with a taken process and check what must hold.

    Raises:
        Failed: it does not hold; the same seed shows it again.
    """
    begin(seed)
    company = TakenCompany(seed, odds or PROFILES[seed % len(PROFILES)], process, messages)
    promises = PROMISES[process]
    try:
        run_on_virtual_time(company.play(replicas))
    except Failed as error:
        raise Failed(f"taken {process}: {error}") from error
    if promises.others_complete and not company.waits_for_the_day():
        check_ending(company.ending(), calm())
    check_named(company)
    check_release(company, promises)
    return company


def check_named(company: TakenCompany) -> None:
    """`coo verify` names every message that the adversary wrote and nobody decided, and nothing else."""
    report = verified(company)
    found = {finding.seq: finding.why for finding in report.findings}
    for seq in company.bad_bills:
        found.pop(seq, None)
    wrong = misnamed(company.server.stream("COO").messages, company.forged["COO"], found)
    if wrong:
        raise Failed(wrong)
    check_dead(company, {finding.seq for finding in report.dead})


def check_dead(company: TakenCompany, found: Collection[int]) -> None:
    """Of the dead letters every forged one is named, and nothing else."""
    log, forged = company.server.stream("COO").messages, company.forged["COO_DLQ"]
    misled = misled_in(log, company.forged["COO"])
    for stored in company.server.stream("COO_DLQ").messages:
        if stored.seq in forged and stored.seq not in found and forged[stored.seq].is_new:
            raise Failed(f"a forged dead letter is not named: {stored}")
        is_wrong = stored.seq in found and stored.seq not in forged
        if is_wrong and subjects.entombed_by(stored.subject) not in misled:
            raise Failed(f"an honest dead letter is named: {stored}")


def check_release(company: TakenCompany, promises: Promises) -> None:
    """No mission whose terms ask for it is completed without the CEO's word."""
    if not promises.released_by_ceo:
        return
    for stored in company.server.stream("COO").messages:
        if stored.subject == subjects.mail(NAMED, "ceo", "status", "coo"):
            status = msgspec.json.decode(stored.body, type=m.Status)
            if status.state == "completed":
                raise Failed(f"released without the CEO, at {stored.seq}")
