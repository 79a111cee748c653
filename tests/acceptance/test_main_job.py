"""The main job as a person does it: `coo up` in one terminal, `coo mission` in another."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import Company, in_loop, running_company, until

from actors.performers.model.providers.scripted import SCRIPTS
from actors.table import TABLE
from bus.envelope import Outgoing
from bus.jetstream import connect
from bus.subjects import parse_mail

CSV = "Build a CSV to JSON converter with tests"
FIZZBUZZ = "Write fizzbuzz"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """One company for the whole module; every test gives missions of its own."""
    with running_company(tmp_path_factory.mktemp("main-job")) as company:
        yield company


def as_operator(company: Company, *messages: Outgoing) -> list[int]:
    """Publish messages by hand, with the operator's credentials; return their sequences."""

    async def publish() -> list[int]:
        operator = await connect(company.url, user="operator", password=company.credentials["operator"])
        try:
            return [(await operator.publish(message)).seq for message in messages]
        finally:
            await operator.close()

    return in_loop(publish)


def last_error(done: Any) -> str:
    """Return what a command said on stderr: no traceback, at most a line of what and a line of how on."""
    said: str = done.stderr.strip()
    assert "Traceback" not in said
    return said


# -- the main job -------------------------------------------------------------------------------------


def test_a_mission_is_followed_to_its_end_and_its_files_are_on_disk(company: Company, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = company.coo("mission", CSV, "--budget", "1", "--follow", "--out", str(out))

    assert done.returncode == 0, done.stderr
    assert "scripted model: canned answers, invented prices" in done.stdout + done.stderr
    for word in ("plan", "code", "run", "exam", "marks", "review", "completed"):
        assert word in done.stdout
    shown = company.json("show", done.stdout.split()[0])
    written = {str(path.relative_to(out)) for path in out.rglob("*")}
    assert written == {file["path"] for file in shown["deliverable"]}
    assert {"csv2json.py", "test_csv2json.py"} <= written


def test_an_exam_is_shown_and_sat_on_any_folder(company: Company, tmp_path: Path) -> None:
    out = tmp_path / "out"
    mission = company.coo("mission", FIZZBUZZ, "--budget", "1", "--wait", "--out", str(out)).stdout.split()[0]
    (sitting,) = company.json("exam", mission)
    assert [case["mark"] for case in sitting["cases"]] == ["pass"] * 7 + [""]
    assert sitting["verdict"] == "approved"
    assert {control["control"] for control in sitting["controls"]} == {"before", "empty", "swapped"}
    assert "✔  one" in company.coo("exam", mission).stdout
    assert company.json("show", mission)["evidence"] == "observed"

    good = company.coo("exam", mission, "--on", str(out), "--json")
    assert (good.returncode, {case["mark"] for case in json.loads(good.stdout)["cases"]}) == (0, {"pass"})
    program = out / "fizzbuzz.py"
    program.write_text(program.read_text().replace("number % 5", "number % 7"))
    bad = company.coo("exam", mission, "--on", str(out))
    assert (bad.returncode, "✘  thousand" in bad.stdout) == (3, True)
    assert company.coo("exam", mission, "--task", "7").returncode == 7
    assert company.coo("exam", mission, "--on", str(tmp_path / "nowhere")).returncode == 2


def test_the_log_reads_like_minutes(company: Company) -> None:
    mission = company.coo("mission", FIZZBUZZ, "--budget", "1", "--wait").stdout.split()[0]

    async def read() -> list[dict[str, Any]]:
        admin = await connect(company.url, user="admin", password=company.credentials["admin"])
        try:
            info = await admin.api("$JS.API.STREAM.INFO.COO", {})
            last = info["state"]["last_seq"]
            return [
                (await admin.api("$JS.API.STREAM.MSG.GET.COO", {"seq": seq}))["message"]
                for seq in range(1, last + 1)
            ]
        finally:
            await admin.close()

    messages = [message for message in in_loop(read) if f".{mission}." in message["subject"]]
    assert len(messages) > 30
    for message in messages:
        body = base64.b64decode(message["data"])
        assert b"\n" not in body
        assert isinstance(json.loads(body), dict)
        headers = base64.b64decode(message["hdrs"]).decode("ascii").strip().split("\r\n")
        assert headers[0] == "NATS/1.0"
        assert len(headers) <= 13
        TABLE.row(parse_mail(message["subject"]))


# -- money and approval -------------------------------------------------------------------------------


def test_a_budget_too_small_for_one_call_stops_before_it_and_says_what_was_needed(company: Company) -> None:
    done = company.coo("mission", FIZZBUZZ, "--budget", "0.000001", "--wait")

    assert done.returncode == 5, done.stderr
    shown = company.json("show", done.stdout.strip().split()[0])
    assert (shown["status"], shown["spent_usd"], shown["held_usd"]) == ("paused_budget", "0.00", "0.00")
    assert "0.000001" in done.stderr + done.stdout
    assert "no money: the next call needs at least $0.00" in done.stdout
    assert "the mission limit has $0.000001 left" in done.stdout


def test_a_release_waits_for_the_ceo_and_goes_on_when_approved(company: Company) -> None:
    waiting = company.coo("mission", FIZZBUZZ, "--budget", "1", "--approve", "release", "--wait")
    assert waiting.returncode == 4, waiting.stderr
    mission = waiting.stdout.split()[0]
    assert f"coo approve {mission}" in waiting.stderr + waiting.stdout

    approved = company.coo("approve", mission)
    assert approved.returncode == 0, approved.stderr
    assert company.coo("follow", mission).returncode == 0
    again = company.coo("approve", mission)
    assert again.returncode == 8, again.stderr


def test_a_rejected_release_ends_the_mission_as_failed(company: Company) -> None:
    waiting = company.coo("mission", FIZZBUZZ, "--budget", "1", "--approve", "release", "--wait")
    mission = waiting.stdout.split()[0]
    assert company.coo("reject", mission, "--reason", "not what I meant").returncode == 0
    followed = company.coo("follow", mission)
    assert followed.returncode == 3
    assert "not what I meant" in followed.stdout + followed.stderr


# -- the same key -------------------------------------------------------------------------------------


def test_a_key_names_one_mission_for_ever(company: Company) -> None:
    first = company.coo("mission", FIZZBUZZ, "--budget", "1", "--id", "nightly", "--wait")
    again = company.coo("mission", FIZZBUZZ, "--budget", "1", "--id", "nightly", "--wait")
    other_goal = company.coo("mission", CSV, "--budget", "1", "--id", "nightly")
    other_budget = company.coo("mission", FIZZBUZZ, "--budget", "2", "--id", "nightly")

    assert (first.returncode, again.returncode) == (0, 0)
    assert first.stdout.split()[0] == again.stdout.split()[0]
    assert (other_goal.returncode, other_budget.returncode) == (8, 8)
    missions = [row["id"] for row in company.json("ls")]
    assert missions.count(first.stdout.split()[0]) == 1


# -- dead letters -------------------------------------------------------------------------------------


def test_bad_mail_is_kept_other_mail_goes_on_and_a_replay_works_once(
    company: Company,
) -> None:
    before = len(company.json("dlq", "ls"))
    result = b'{"number":0,"rework":0,"status":"approved"}'
    bytes_seq, raising_seq = as_operator(
        company,
        Outgoing("coo.m.m-dead.engineer.task.coo", {"Nats-Msg-Id": "dead-1", "ce-id": "dead-1"}, b"\xff\x00"),
        Outgoing("coo.m.m-dead.budget.settle.model-qa", {"Nats-Msg-Id": "d2", "ce-id": "d2"}, result),
    )
    until(lambda: len(company.json("dlq", "ls")) == before + 2, what="both are in the dead letters")
    entries = {entry["original"]["seq"]: entry for entry in company.json("dlq", "ls")}
    assert entries[bytes_seq]["reason"] == "undecodable"
    assert entries[raising_seq]["mailbox"] == "budget"
    assert company.coo("mission", FIZZBUZZ, "--budget", "1", "--wait").returncode == 0

    seq = str(entries[bytes_seq]["seq"])
    shown = company.coo("dlq", "show", seq)
    assert shown.returncode == 0
    assert "undecodable" in shown.stdout
    assert company.coo("dlq", "replay", seq, "--dry-run").returncode == 0
    replayed = company.coo("dlq", "replay", seq)
    assert replayed.returncode == 0, replayed.stderr
    assert company.coo("dlq", "replay", seq).returncode == 8
    until(lambda: len(company.json("dlq", "ls")) == before + 3, what="the replay failed again")


def test_a_message_that_makes_a_role_raise_is_a_dead_letter_that_can_be_sent_again_by_hand(
    company: Company,
) -> None:
    waiting = company.coo("mission", FIZZBUZZ, "--budget", "1", "--approve", "release", "--wait")
    mission = waiting.stdout.split()[0]
    subject = f"coo.m.{mission}.approval.tick.clock"
    bad = Outgoing(subject, {"Nats-Msg-Id": "t1", "ce-id": "t1"}, b'{"name":"x"}')
    (seq,) = as_operator(company, bad)
    until(lambda: company.json("show", mission)["status"] == "paused_error", what="the mission stops")
    entry = next(e for e in company.json("dlq", "ls") if e["original"]["seq"] == seq)
    assert (entry["mailbox"], entry["reason"]) == ("approval", "undecodable")

    repaired = Outgoing(subject, {"Nats-Msg-Id": "t2", "ce-id": "t2"}, b'{"name":"x","at_ns":1}')
    as_operator(company, repaired)
    assert company.coo("resume", mission).returncode == 0
    until(lambda: company.json("show", mission)["status"] == "paused_approval", what="it waits again")
    assert company.coo("approve", mission).returncode == 0


def test_a_forged_dead_letter_is_not_replayed(company: Company) -> None:
    headers = {
        "coo-dlq-subject": "coo.m.m-x.approval.decision.ceo",
        "coo-dlq-seq": "1",
        "coo-dlq-reason": "raised",
    }

    async def forge() -> int:
        engineer = await connect(company.url, user="engineer", password=company.credentials["engineer"])
        try:
            return (await engineer.publish(Outgoing("coo.dlq.engineer.m-x", headers, b"{}"))).seq
        finally:
            await engineer.close()

    refused = company.coo("dlq", "replay", str(in_loop(forge)))
    assert refused.returncode == 8
    assert "not what the log holds" in refused.stderr


# -- anti-toy -----------------------------------------------------------------------------------------


def spoiled(folder: Path, spoil: Any) -> str:
    """Write a spoiled copy of the fizzbuzz script; return its folder."""
    script = yaml.safe_load((SCRIPTS / "fizzbuzz.yaml").read_text("utf-8"))
    for answer in script["answers"]:
        spoil(answer)
    folder.mkdir()
    (folder / "fizzbuzz.yaml").write_text(yaml.safe_dump(script), "utf-8")
    return str(folder)


def wrong_program(answer: dict[str, Any]) -> None:
    if answer["turn"] == "code":
        answer["files"] = dict.fromkeys(answer["files"], "print('wrong')\n")


def wrong_acceptance(answer: dict[str, Any]) -> None:
    for task in answer.get("tasks", []):
        task["acceptance"] = ["python3", "-c", "import nothing_like_it"]


@pytest.mark.parametrize("spoil", [wrong_program, wrong_acceptance])
def test_wrong_work_does_not_complete(tmp_path: Path, spoil: Any) -> None:
    env = {"COO_MODELS__SCRIPTS": spoiled(tmp_path / "scripts", spoil)}
    with running_company(tmp_path, env=env) as company:
        done = company.coo("mission", FIZZBUZZ, "--budget", "1", "--wait")
        assert done.returncode == 3, done.stderr
        shown = company.json("show")
        assert (shown["status"], shown["deliverable"]) == ("failed", [])


# -- bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["mission", FIZZBUZZ, "--budget", "0"], 2, "0"),
        (["mission", FIZZBUZZ, "--budget", "-1"], 2, "-1 is not an amount"),
        (["mission", FIZZBUZZ, "--budget", "NaN"], 2, "NaN is not an amount"),
        (
            ["mission", FIZZBUZZ, "--budget", "2,00"],
            2,
            "2,00 is not an amount. Write 2.00 (US dollars, at most 6 decimals).",
        ),
        (["mission", FIZZBUZZ, "--budget", "0.0000001"], 2, "micro-dollar"),
        (["mission", "", "--budget", "1"], 2, "goal"),
        (["mission", "  \n ", "--budget", "1"], 2, "goal"),
        (["mission", "@/no/such/file", "--budget", "1"], 2, "/no/such/file"),
        (["mission", FIZZBUZZ, "--budget", "1", "--approve", "everything"], 2, "everything"),
        (["mission", FIZZBUZZ, "--budget", "1", "--model", "gpt-99"], 2, "gpt-99"),
        (["mission", FIZZBUZZ, "--budget", "1", "--out", "/proc/nowhere"], 2, "/proc/nowhere"),
        (["mission", FIZZBUZZ, "--budget", "1", "--timeout", "soon", "--wait"], 2, "soon"),
        (["show", "m-nosuchmission"], 7, "m-nosuchmission"),
        (["follow", "m-nosuchmission"], 7, "m-nosuchmission"),
        (["approve", "m-nosuchmission"], 7, "m-nosuchmission"),
        (["artifacts", "get", "m-nosuchmission", "--out", "."], 7, "m-nosuchmission"),
        (["dlq", "show", "99999"], 7, "99999"),
        (["dlq", "replay", "99999"], 7, "99999"),
        (["logs", "nobody"], 7, "nobody"),
        (["ls", "--server", "nats://127.0.0.1:9"], 6, "coo up"),
    ],
)
def test_bad_input_is_one_clear_line_and_the_documented_code(
    company: Company, args: list[str], code: int, words: str
) -> None:
    count = len(company.json("ls"))
    done = company.coo(*args)
    assert done.returncode == code, done.stderr
    assert words in last_error(done)
    assert len(company.json("ls")) == count


def test_a_goal_of_two_megabytes_is_refused(company: Company) -> None:
    done = company.coo("mission", "-", "--budget", "1", text="x" * 2_000_000)
    assert done.returncode == 2
    assert "16 KiB" in last_error(done)


def test_wrong_credentials_are_said_to_be_wrong(company: Company) -> None:
    done = company.coo("ls", env={"COO_CEO_PASSWORD": "guessed"})
    assert done.returncode == 6
    assert "refuses the credentials of ceo" in last_error(done)


def test_no_company_is_said_to_be_none(tmp_path: Path) -> None:
    done = Company(tmp_path).coo("mission", FIZZBUZZ, "--budget", "1")
    assert done.returncode == 6
    assert "coo up" in last_error(done)


def test_an_error_as_json_is_one_object(company: Company) -> None:
    done = company.coo("show", "m-nosuchmission", "--json")
    assert done.returncode == 7
    assert json.loads(done.stderr)["error"]["exit"] == 7
