"""One process of the storm: makes its calls one after the other, and goes on where it was when killed."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
from pathlib import Path

import aiohttp

from actors import messages as m
from actors.performers.model.bill import Bill, Grant, NoMoney, NotSent, Price, Refused, TooManyAttempts
from actors.performers.model.purse import Purse
from actors.table import TABLE
from bus.envelope import Mail
from bus.errors import BusError
from bus.jetstream import connect
from bus.subjects import mailbox_filter

MAILBOX = "model-engineer"
TIMEOUT_S = 1.5


def read(progress: Path) -> list[str]:
    return progress.read_text().splitlines() if progress.exists() else []


async def main(
    url: str, number: int, holds: int, provider: str, seed: int, progress: Path, lines: list[str]
) -> None:
    carrier = await connect(
        url, user="engineer", password=os.environ["COO_PASSWORD"], name=f"caller-{number}"
    )
    purse = Purse(MAILBOX, 1, TABLE, carrier, secrets.token_hex(8))
    done = sum(line == "done" for line in lines)
    started = [int(line) for line in lines if line != "done"]
    async with aiohttp.ClientSession() as session:
        for n in range(done, holds):
            if len(started) <= n:
                started.append(await _end_of_log(carrier))
                _note(progress, str(started[-1]))
            await _one(
                purse, session, provider, _order(number, n, started[n]), random.Random(f"{seed} {number} {n}")
            )
            _note(progress, "done")
    await carrier.close()


def _note(progress: Path, line: str) -> None:
    with progress.open("a") as file:
        file.write(f"{line}\n")


async def _end_of_log(carrier: object) -> int:
    """Return a sequence that is in the log already: the order counts as being behind it."""
    last = await carrier.last("COO", "coo.m.company.budget.limits.ceo")
    seq = last.seq
    while page := await carrier.read("COO", mailbox_filter("budget"), seq + 1):
        seq = page[-1].seq
    return int(seq)


def _order(number: int, n: int, seq: int) -> Mail:
    call = m.Call(turn="code", model="storm", max_output_tokens=1)
    return Mail(
        seq=seq,
        now_ns=0,
        mission=f"storm-{(number + n) % 4}",
        to=MAILBOX,
        kind="call",
        sender="engineer",
        id=f"c{number}-{n}",
        message=call,
    )


async def _one(
    purse: Purse, session: aiohttp.ClientSession, provider: str, order: Mail, chance: random.Random
) -> None:
    most = chance.randint(1_000, 40_000)
    floor = chance.choice([most, most // 2])

    async def call(grant: Grant) -> tuple[str, Bill]:
        asked = {"attempt": grant.attempt, "most": grant.microusd}
        async with session.post(provider, json=asked) as response:
            if response.status == 429:
                raise Refused("too many")
            if response.status != 200:
                raise ConnectionError("what it cost is in doubt")
            return "", Bill((await response.json())["microusd"], 1, 1)

    try:
        await purse.pay(order, Price(most, floor, TIMEOUT_S), call)
    except (NoMoney, NotSent, TooManyAttempts, TimeoutError, OSError, aiohttp.ClientError):
        return


if __name__ == "__main__":
    url, number, holds, provider, seed, progress = sys.argv[1:]
    done = read(Path(progress))
    work = main(url, int(number), int(holds), provider, int(seed), Path(progress), done)
    try:
        asyncio.run(work)
    except BusError as error:  # the server is away: whoever started this starts it again
        sys.exit(f"caller {number}: {error}")
