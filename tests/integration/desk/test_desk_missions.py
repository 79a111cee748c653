"""Giving missions and watching them, on a real server."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from pathlib import Path
from typing import Any

from actors.host.nats.server import NatsServer, find

WAIT = ("--timeout", "50s")


async def test_a_mission_is_given_waited_for_and_delivered(desk: Any, company: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with company():
        said = await desk(
            "mission", "Say hello", "--budget", "2.00", "--id", "k", "--wait", "--json", "--out", out, *WAIT
        )
    assert said.code == 0
    published, result = said.lines
    assert published == {
        "type": "coo.cli.published",
        "mission": result["mission"],
        "status": "published",
        "authority": "enforced",
    }
    assert (out / "greet.py").read_text() == 'print("hello")\n'
    assert (result["state"], result["exit"], result["scripted"]) == ("completed", 0, True)
    assert (result["cap_usd"], result["held_usd"]) == ("2.00", "0.00")
    assert 0 < float(result["spent_usd"]) < 0.01
    assert result["tasks"] == [{"title": "Greet", "state": "done", "attempts": 1}]

    shown = (await desk("show", "--json")).json
    assert {**shown, "updated": ""} == {**{key: result[key] for key in shown}, "updated": ""}
    listed = await desk("ls", "--json")
    assert [one["id"] for one in listed.json] == [result["mission"]]
    followed = await desk("follow", "--json")
    assert followed.code == 0
    assert followed.lines[0]["kind"] == "mission"
    assert followed.lines[-1] == {**result, "updated": shown["updated"]}
    assert "the latest mission" in followed.err
    assert "completed" in (await desk("ls")).out

    files = await desk("artifacts", "ls", result["mission"][:6], "--json")
    assert files.json == result["deliverable"]
    again = await desk("artifacts", "get", result["mission"], "--out", out, "--json")
    assert (again.code, again.json["unchanged"]) == (0, ["docs/notes.txt", "greet.py"])
    (out / "greet.py").write_text("mine")
    refused = await desk("artifacts", "get", result["mission"], "--out", out)
    assert (refused.code, (out / "greet.py").read_text()) == (8, "mine")
    repeated = await desk("mission", "Say hello", "--budget", "2", "--id", "k", "--wait", "--out", out)
    assert repeated.code == 8
    assert "✔ completed" in repeated.out
    assert "greet.py is there already" in repeated.err
    forced = await desk("artifacts", "get", result["mission"], "--out", out, "--force")
    assert (forced.code, forced.out) == (0, "greet.py\n")
    assert (await desk("artifacts", "get", "m-", "--out", "/proc/x")).code == 2


async def test_the_timeline_tells_of_the_work_and_obeys_nobody(desk: Any, company: Any) -> None:
    async with company():
        said = await desk("mission", "Say hello twice", "--budget", "0.50", "--follow", *WAIT)
    assert said.code == 0
    assert "\x1b" not in said.out
    for line in (
        '"Say hello twice" for at most $0.50',
        "scripted model: canned answers, invented prices",
        "plan       1 task: Greet",
        "task 1/1: 2 files, 3 lines: docs/notes.txt, greet.py",
        "exam       task 1/1: 1 case: greets",
        "marks      ✔ 1 of 1 case passed",
        "review     ✘ task 1/1 sent back: greet.py: it says hello only once",
        "task 1/1, rework 1: Greet",
        "review     ✔ task 1/1 approved",
        "✔ completed in ",
    ):
        assert line in said.out
    assert said.out.splitlines()[-1] == "scripted model: canned answers, invented prices"


async def test_a_key_is_one_mission_for_ever(desk: Any) -> None:
    first = await desk("mission", "Say hello", "--budget", "2", "--id", "nightly")
    assert (first.code, first.out) == (0, "m-whky2olwba2m\n")
    again = await desk("mission", " Say hello ", "--budget", "2.00", "--id", "nightly", "--json")
    assert (again.code, again.json["status"]) == (0, "already_published")
    for change in (["Say bye", "--budget", "2"], ["Say hello", "--budget", "3"]):
        other = await desk("mission", *change, "--id", "nightly")
        assert (other.code, other.out) == (8, "")
        assert "published before with another goal, budget or terms" in other.err
    assert (
        await desk("mission", "Say hello", "--budget", "2", "--id", "nightly", "--approve", "release")
    ).code == 8
    assert len((await desk("ls", "--json")).json) == 1


async def test_of_two_missions_with_one_key_at_once_one_is_published(desk: Any) -> None:
    said = await asyncio.gather(
        *(desk("mission", f"Say {n}", "--budget", "2", "--id", "k") for n in range(3))
    )
    assert sorted(one.code for one in said) == [0, 8, 8]
    winner = next(n for n, one in enumerate(said) if one.code == 0)
    assert [one["goal"] for one in (await desk("ls", "--json")).json] == [f"Say {winner}"]


async def test_what_is_wrong_with_an_order_is_said_before_anybody_is_asked(desk: Any, tmp_path: Path) -> None:
    nowhere = ("--server", "nats://127.0.0.1:1")
    for wrong in (
        ["", "--budget", "2"],
        ["x", "--budget", "-1"],
        ["x", "--budget", "2", "--timeout", "5s"],
        ["x", "--budget", "2", "--out", "/proc/out"],
        ["\x01" * 17_000 + "x", "--budget", "2", "--server", ""],
    ):
        said = await desk("mission", *wrong, *nowhere[: 2 * ("--server" not in wrong)])
        assert (said.code, said.out) == (2, ""), wrong
        assert said.err.startswith("coo: ")
        assert "Traceback" not in said.err
    said = await desk("mission", "x", "--budget", "2", *nowhere)
    assert (said.code, said.out) == (6, "")
    assert (await desk("ls", "--json")).json == []


async def test_the_goal_can_come_from_standard_input(desk: Any) -> None:
    said = await desk("mission", "-", "--budget", "2", stdin="Größe\n".encode())
    assert said.code == 0
    assert (await desk("show", said.out.strip(), "--json")).json["goal"] == "Größe"


async def test_missions_are_found_by_the_beginning_of_their_id(desk: Any) -> None:
    assert (await desk("show")).code == 7
    names = [(await desk("mission", "x", "--budget", "1", "--id", n)).out.strip() for n in "ab"]
    assert (await desk("show", names[0][:8], "--json")).json["id"] == names[0]
    several = await desk("show", "m-")
    assert several.code == 2
    assert all(name in several.err for name in names)
    for command in (["show"], ["follow"], ["approve"], ["cancel"], ["artifacts", "ls"]):
        assert (await desk(*command, "m-nothing")).code == 7
    assert (await desk("artifacts", "ls", names[0])).code == 7
    assert (await desk("show", "--json")).json["id"] == names[1]


async def test_waiting_ends_by_time_and_the_mission_goes_on(desk: Any) -> None:
    said = await desk("mission", "x", "--budget", "1", "--wait", "--timeout", "1s")
    assert said.code == 9
    assert "is published after 1.0s of waiting, and goes on" in said.err


async def test_ctrl_c_lets_go_and_says_how_to_come_back(desk: Any) -> None:
    process = await desk.start("mission", "x", "--budget", "1", "--follow")
    name = (await process.stdout.readline()).decode().strip()
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 130
    assert f"coo follow {name}" in err.decode()
    assert "Traceback" not in err.decode()


async def test_a_goal_without_a_script_fails_and_says_why(desk: Any, company: Any) -> None:
    async with company(["coo", "budget", "clock"]):
        said = await desk("mission", "Cure cancer", "--budget", "1", "--wait", *WAIT)
    assert said.code == 3
    assert "✘ failed" in said.out
    assert "the scripted model only knows these goals" in said.out


async def test_a_budget_that_is_too_small_pauses_the_mission(desk: Any, company: Any) -> None:
    async with company(["coo", "budget", "clock"]):
        said = await desk("mission", "Say hello", "--budget", "0.001", "--wait", *WAIT)
        assert said.code == 5
        assert "to raise the cap by $0.01" in said.err
        shown = (await desk("show", "--json")).json
    assert shown["status"] == "paused_budget"
    assert shown["refusal"]["scope"] == "mission"
    assert shown["refusal"]["remaining_usd"] == "0.001"


async def test_following_outlives_the_server_and_prints_nothing_but_data(desk: Any, nats: Any) -> None:
    name = (await desk("mission", "x", "--budget", "1")).out.strip()
    process = await desk.start("follow", name, "--json", "--timeout", "60s")
    first = json.loads(await process.stdout.readline())
    await nats.server.restart()
    cancel = asyncio.create_task(desk("cancel", name))
    letter = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    assert (first["kind"], letter["kind"], letter["message"]["action"]) == ("mission", "control", "cancel")
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 130
    await cancel


async def test_a_server_without_streams_and_wrong_credentials_are_named(desk: Any, tmp_path: Path) -> None:
    conf = tmp_path / "bare.conf"
    conf.write_text("jetstream { store_dir: $COO_NATS_STORE }")
    (tmp_path / "bare").mkdir()
    async with NatsServer(find(None), conf, tmp_path / "store", tmp_path / "bare", "auto", {}) as bare:
        said = await desk("mission", "x", "--budget", "1", "--server", bare.url)
    assert (said.code, said.out) == (6, "")
    assert "coo setup" in said.err
    wrong = await desk("ls", COO_CEO_PASSWORD="wrong")
    assert (wrong.code, wrong.out) == (6, "")
    assert "COO_CEO_PASSWORD" in wrong.err


async def test_a_terminal_gets_colours_and_no_others_than_ours(desk: Any, nats: Any) -> None:
    goal = "\x1b]0;owned\x07[bold]x[/bold]"
    name = (await desk("mission", goal, "--budget", "1", "--deadline", "1h")).out.strip()
    ours, theirs = pty.openpty()
    env = {**desk.env, "TERM": "xterm-256color", "COLUMNS": "80"}
    argv = [
        sys.executable,
        "-c",
        "from actors.cli.app import main; main()",
        "follow",
        name,
        "--timeout",
        "1s",
    ]
    process = await asyncio.create_subprocess_exec(*argv, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    await asyncio.wait_for(process.wait(), 30)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert '"[bold]x[/bold]" for at most $1.00' in shown
    assert "owned" not in shown
