"""`coo mission`, `coo follow`, `coo ls`, `coo show`: giving a mission, and seeing what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from actors.cli.artifacts import deliver_to, tell
from actors.cli.connection import authority, connected
from actors.cli.exits import Exit
from actors.cli.follow import View, Watch, next_step
from actors.cli.options import DataDirOption, JsonOption, ServerOption, run
from actors.cli.screen import note, out, out_json, out_table
from actors.cli.sheet import sheet
from actors.cli.waiting import Progress, Waiting, in_time, interruptible
from actors.desk.configuration import load_settings
from actors.desk.deliver import Delivery, check_target
from actors.desk.durations import read_duration
from actors.desk.mission import Draft, Wish, publish, read, settle, with_cap
from actors.desk.terms import counting
from actors.errors import Kind, UserError
from actors.host.datadir import DataDir
from actors.money import usd
from actors.projections.record import Record, find_mission, missions, read_record
from actors.projections.timeline import spell

if TYPE_CHECKING:
    from bus.jetstream import JetStreamCarrier
    from config.settings import Settings

Text = Optional[str]

MissionArgument = Annotated[
    Text, typer.Argument(metavar="MISSION", help="A mission, or the beginning of its id; else the latest.")
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Show the timeline until it rests.")]
TimeoutOption = Annotated[
    Text, typer.Option("--timeout", metavar="30m", help="Wait no longer; the mission goes on (exit 9).")
]


def mission(
    goal: Annotated[str, typer.Argument(metavar="GOAL|-|@FILE", help="What is to be done.")],
    budget: Annotated[Text, typer.Option(metavar="USD", help="What it may cost at most, as 2.00.")] = None,
    key: Annotated[Text, typer.Option("--id", metavar="KEY", help="Repeating a KEY changes nothing.")] = None,
    following: FollowOption = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait silently, then print the result.")] = False,
    timeout: TimeoutOption = None,
    approve: Annotated[Text, typer.Option(metavar="release|none", help="What waits for you.")] = None,
    model: Annotated[Text, typer.Option(metavar="NAME", help="The model of every role.")] = None,
    target: Annotated[
        Optional[Path],
        typer.Option("--out", metavar="DIR", help="Wait, and write the files there at the end."),
    ] = None,
    deadline: Annotated[Text, typer.Option(metavar="2h", help="When it is given up.")] = None,
    priority: Annotated[
        int, typer.Option(min=-100, max=100, help="Of missions that wait for a slot the greatest is next.")
    ] = 0,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give the company a mission and a budget. Prints the mission's id once the log has it."""
    waits = following or wait or target is not None
    waiting = _waiting(waits, following, as_json, timeout, target)
    wish = Wish(
        goal=goal,
        budget=budget,
        key=key,
        approve=approve,
        model=model,
        deadline=deadline,
        priority=priority,
    )
    draft, own = read(wish), load_settings()
    if target is not None:
        check_target(target)
    progress = Progress()
    work = _mission(progress, draft, own, waiting if waits else None, as_json, data_dir, server)
    interruptible(progress, work)


def _waiting(
    waits: bool, following: bool, as_json: bool, timeout: str | None, target: Path | None
) -> Waiting:
    if timeout is not None and not waits:
        raise UserError(Kind.USAGE, "--timeout needs --wait or --follow.")
    timeout_s = None if timeout is None else read_duration(timeout, "--timeout")
    return Waiting(following, as_json, timeout_s, target)


async def _mission(
    progress: Progress,
    draft: Draft,
    own: Settings,
    waiting: Waiting | None,
    as_json: bool,
    data_dir: Path | None,
    server: str | None,
) -> Exit:
    async with connected(data_dir, server) as carrier, in_time(progress, waiting):
        progress.name = draft.name
        company, uncounted = await counting(carrier, own)
        order = await with_cap(carrier, settle(draft, company))
        repeated = await publish(carrier, order)
        progress.published = True
        if as_json:
            status = "already_published" if repeated else "published"
            published = {"mission": order.name, "status": status, "authority": authority(carrier)}
            out_json({"type": "coo.cli.published", **published})
        else:
            out(order.name)
            budget = usd(order.mission.budget_microusd)
            note(f"{'already published' if repeated else 'published'}, for at most ${budget}")
        if uncounted:
            note(f"coo: {uncounted}")
        if waiting is None:
            note(f"Watch it: coo follow {order.name}")
            return Exit.DONE
        return await _watch(progress, carrier, waiting, data_dir)


async def _watch(
    progress: Progress, carrier: JetStreamCarrier, waiting: Waiting, data_dir: Path | None
) -> Exit:
    shown: View = "json" if waiting.json else "text"
    view: View = shown if waiting.follow else "silent"
    watch = Watch(carrier, progress.name, view, DataDir(data_dir).logs)
    progress.watch = watch
    unread = waiting.out is not None or not waiting.follow
    record = await watch.to_the_end(None, unread=unread)
    failure, delivery = None, None
    if waiting.out is not None and record.state == "completed":
        try:
            delivery = await _deliver(carrier, record, waiting.out)
        except UserError as error:
            failure = error
    code = watch.close(as_json=waiting.json, delivered=delivery is not None, authority=authority(carrier))
    if failure is not None:
        raise failure
    return Exit.CONFLICT if delivery is not None and delivery.skipped else code


async def _deliver(carrier: JetStreamCarrier, record: Record, target: Path) -> Delivery:
    delivery = await deliver_to(carrier, record, target, force=False)
    tell(delivery, target)
    return delivery


def follow(
    wanted: MissionArgument = None,
    timeout: TimeoutOption = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a mission's timeline from its beginning, then live, until it is over or waits for you."""
    progress = Progress()
    waiting = _waiting(True, True, as_json, timeout, None)
    interruptible(progress, _follow(progress, wanted, waiting, data_dir, server))


async def _follow(
    progress: Progress, wanted: str | None, waiting: Waiting, data_dir: Path | None, server: str | None
) -> Exit:
    async with connected(data_dir, server) as carrier, in_time(progress, waiting):
        progress.name = await _find(carrier, wanted)
        progress.published = True
        return await _watch(progress, carrier, waiting, data_dir)


async def _find(carrier: JetStreamCarrier, wanted: str | None) -> str:
    name = await find_mission(carrier, wanted)
    if wanted is None:
        note(f"the latest mission: {name}")
    return name


def ls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show the latest N.")] = 20,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the missions, the latest first."""
    run(_ls(limit, as_json, data_dir, server))


async def _ls(limit: int, as_json: bool, data_dir: Path | None, server: str | None) -> None:
    async with connected(data_dir, server) as carrier:
        names = await missions(carrier)
        records = [await read_record(carrier, name) for name in names[:limit]]
        now_ns = carrier.now_ns()
    told = [record.told(now_ns) for record in records]
    if as_json:
        out_json(told)
        return
    if not told:
        note("There is no mission yet. Give one: coo mission GOAL --budget USD.")
        return
    ages = [spell(now_ns - record.published_ns) for record in records]
    out_table(
        ["MISSION", "STATUS", "SPENT", "OF", "AGE", "GOAL"],
        [
            (one["id"], _state(one), f"${one['spent_usd']}", f"${one['cap_usd']}", age, one["goal"])
            for one, age in zip(told, ages, strict=True)
        ],
    )
    if len(names) > limit:
        note(f"{len(names) - limit} more: coo ls --limit {len(names)}")


def _state(told: dict[str, Any]) -> str:
    """Say what state a mission is in, and when its work was approved on its own word alone."""
    return f"{told['status']} (claimed)" if told["evidence"] == "claimed" else str(told["status"])


def show(
    wanted: MissionArgument = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is known of a mission: its state, tasks, money and files."""
    run(_show(wanted, as_json, data_dir, server))


async def _show(wanted: str | None, as_json: bool, data_dir: Path | None, server: str | None) -> None:
    async with connected(data_dir, server) as carrier:
        record = await read_record(carrier, await _find(carrier, wanted))
        told = {**record.told(carrier.now_ns()), "authority": authority(carrier)}
    if as_json:
        out_json(told)
        return
    sheet(told)
    if hint := next_step(record):
        note(hint)
