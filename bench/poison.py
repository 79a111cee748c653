"""What one per cent of poison costs healthy traffic, beside the same traffic without any.

    python bench/poison.py --messages 3000 --rounds 5

Poison is mail on which the role raises: it is refused with an error letter and a copy in the dead letters. In
each round the gate's mailbox is filled, then one process of it serves what is there; rounds with and without
poison take turns on one nats-server. Prints healthy messages a second of both, and what poison costs: as the
median of neighbouring rounds, and from the best of each, since a busy machine only ever makes rounds slower;
and the least processor time that the process used for a healthy mail, its start included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil

from actors import messages as m
from actors.host.datadir import DataDir
from actors.host.nats.conf import CONF
from actors.host.nats.server import NatsServer, find
from actors.process.strikes import Strikes
from actors.roles.approval import ROLE
from actors.table import TABLE
from bus.envelope import Mail, open_letter
from bus.fold import Role, Step
from bus.jetstream import JetStreamCarrier, connect
from bus.loops.role import RoleLoop
from bus.server import setup
from bus.server.authority import principals, variable
from bus.server.topology import topology
from bus.subjects import DLQ_STREAM, MAIL_STREAM

MISSIONS = 200
POISON_EVERY = 100
SERVE = "serve"


def handle(state: msgspec.Struct, mail: Mail) -> Step:
    if isinstance(mail.message, m.Decision) and mail.message.note == "poison":
        raise ValueError("poison")
    return ROLE.handle(state, mail)


async def serve(url: str, strikes: str) -> None:
    carrier = await connect(url, user="approval", password=os.environ[variable("approval")])
    role = Role(name="approval", version=ROLE.version, state=ROLE.state, handle=handle)
    await RoleLoop(role, TABLE, carrier, deaths=Strikes(Path(strikes))).run(asyncio.Event())


async def fill(ceo: JetStreamCarrier, word: str, messages: int, poison: bool) -> tuple[int, int]:
    """Fill the mailbox; return the first sequence and how many messages are healthy."""
    sick = 0
    first = 0
    for start in range(0, messages, 250):
        letters = []
        for n in range(start, min(start + 250, messages)):
            is_sick = poison and n % POISON_EVERY == POISON_EVERY // 2
            sick += is_sick
            note = "poison" if is_sick else ""
            answer = m.Decision(digest="0" * 64, verdict="reject", note=note)
            letters.append(
                open_letter(
                    TABLE,
                    sender="ceo",
                    to="approval",
                    mission=f"{word}-{n % MISSIONS}",
                    message=answer,
                    id=f"{word}-{n}",
                    time_ns=time.time_ns(),
                )
            )
        acks = await asyncio.gather(*map(ceo.publish, letters))
        first = first or min(ack.seq for ack in acks)
    return first, messages - sick


async def rate(ceo: JetStreamCarrier, start: int, healthy: int) -> float:
    """Wait for the answer to every healthy mail, and return how many came a second."""
    times: list[int] = []
    async with asyncio.timeout(300):
        while len(times) < healthy:
            while page := await ceo.read(MAIL_STREAM, "coo.m.*.ceo.declined.approval", start):
                times += [stored.time_ns for stored in page]
                start = page[-1].seq + 1
            await asyncio.sleep(0.2)
    return (len(times) - 1) / (times[-1] - times[0]) * 1e9


async def until_dead(ceo: JetStreamCarrier, wanted: int) -> None:
    async with asyncio.timeout(60):
        count, start = 0, 1
        while count < wanted:
            while page := await ceo.read(DLQ_STREAM, "coo.dlq.>", start):
                count, start = count + len(page), page[-1].seq + 1
            await asyncio.sleep(0.05)
    assert count == wanted, f"{count} dead letters for {wanted} poisoned messages"


async def play(messages: int, rounds: int, folder: Path) -> dict[str, object]:
    data_dir = DataDir(folder / "company")
    data_dir.create()
    passwords = data_dir.credentials(principals(TABLE))
    env = {variable(name): password for name, password in passwords.items()}
    rates: dict[bool, list[float]] = {False: [], True: []}
    cpu_us: dict[bool, list[float]] = {False: [], True: []}
    dead = 0
    async with NatsServer(find(None), CONF, data_dir.nats, data_dir.run, "auto", env) as server:
        admin = await connect(server.url, user="admin", password=passwords["admin"])
        await setup.apply(admin, topology(TABLE))
        ceo = await connect(server.url, user="ceo", password=passwords["ceo"])
        for number in range(rounds * 2 + 1):
            poison = number % 2 == 0
            start, healthy = await fill(ceo, f"r{number}", messages, poison)
            argv = [sys.executable, __file__, SERVE, server.url, str(data_dir.strikes("approval"))]
            process = await asyncio.create_subprocess_exec(
                *argv, env={**os.environ, **env}, stdout=asyncio.subprocess.DEVNULL
            )
            try:
                found = await rate(ceo, start, healthy)
                dead += messages - healthy
                await until_dead(ceo, dead)
                spent = psutil.Process(process.pid).cpu_times()
            finally:
                process.terminate()
                await process.wait()
            if number:  # the first one warms the server up
                rates[poison].append(found)
                cpu_us[poison].append((spent.user + spent.system) / healthy * 1e6)
        await ceo.close()
        await admin.close()
    medians = [statistics.median(rates[poison]) for poison in (False, True)]
    best = [max(rates[poison]) for poison in (False, True)]
    pairs = [poisoned / clean for clean, poisoned in zip(rates[False], rates[True], strict=True)]
    return {
        "healthy_mails_per_s": {"without": round(medians[0]), "with_1_percent": round(medians[1])},
        "best": {"without": round(best[0]), "with_1_percent": round(best[1])},
        "cost_percent_median_of_pairs": round((1 - statistics.median(pairs)) * 100, 1),
        "cost_percent_best": round((1 - best[1] / best[0]) * 100, 1),
        "cpu_us_per_healthy_mail": {
            "without": round(min(cpu_us[False])),
            "with_1_percent": round(min(cpu_us[True])),
        },
        "rounds": rounds,
        "dead_letters": dead,
    }


def main() -> None:
    if sys.argv[1:2] == [SERVE]:
        asyncio.run(serve(*sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coo-poison-") as folder:
        print(json.dumps(asyncio.run(play(options.messages, options.rounds, Path(folder))), indent=2))


if __name__ == "__main__":
    main()
