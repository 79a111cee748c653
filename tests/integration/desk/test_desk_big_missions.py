"""Missions whose answers add up to far more than a body: they go on, and every surface shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from integration.desk.conftest import PLAN

from bus.dataref import MAX_BODY_BYTES, is_dataref

WAIT = ("--timeout", "60")
FILES = 199
COUNT = "import pathlib; print(len(list(pathlib.Path('{}').glob('*.txt'))))"
MARK = f"""
from pathlib import Path

good = (Path("answers/counts/stdout").read_text() == "{FILES}\\n")
print("PASS counts" if good else "FAIL counts")
"""
LONG = "a-long-name-" * 20


def big_script() -> dict[str, Any]:
    """Return a script of two tasks whose workspaces have many files with long names."""
    tasks = [
        {**yaml.safe_load(PLAN)[0]["tasks"][0], "title": f"Greet {n}", "brief": f"Print hello. {'é' * 7_900}"}
        for n in (1, 2)
    ]
    answers: list[dict[str, Any]] = [{"turn": "plan", "summary": "two tasks", "tasks": tasks}]
    for n in (1, 2):
        files = {f"{n}/{LONG}{i:03}.txt": f"{i}\n" for i in range(FILES)}
        answers += [
            {"turn": "code", "task": n, "files": {"greet.py": 'print("hello")\n', **files}},
            {
                "turn": "exam",
                "task": n,
                "cases": [{"name": "counts", "argv": ["python3", "-c", COUNT.format(n)]}],
                "marker": ["python3", "qa_exam/mark.py"],
                "files": {"qa_exam/mark.py": MARK},
            },
            {"turn": "judge", "task": n, "verdict": "approved", "reason": "it greets"},
        ]
    return {"name": "big", "about": "many files", "goals": ["Say hello at length"], "answers": answers}


async def test_answers_that_add_up_to_more_than_a_body_go_on_and_are_shown(
    desk: Any, company: Any, nats: Any, tmp_path: Path
) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "big.yaml").write_text(yaml.safe_dump(big_script()), "utf-8")
    out = tmp_path / "out"
    async with company():
        said = await desk(
            "mission", "Say hello at length", "--budget", "50", "--wait", "--json", "--out", out, *WAIT
        )
    assert said.code == 0, said.out + said.err
    _, result = said.lines
    assert result["state"] == "completed"
    assert len(result["deliverable"]) == 2 * FILES + 1
    assert len(list(out.rglob("*.txt"))) == 2 * FILES

    ceo = await nats.connect("ceo")
    log: list[Any] = []
    while page := await ceo.read("COO", "coo.m.>", log[-1].seq + 1 if log else 1):
        log += page
    big = {one.subject.split(".")[4] for one in log if is_dataref(one.body)}
    assert big >= {"reply", "execute", "result", "task", "call", "status"}
    assert max(len(one.body) for one in log) <= MAX_BODY_BYTES < max(len(one.text) for one in log)

    assert (await desk("verify", "--all")).code == 0
    assert (await desk("audit")).code == 0
    shown = await desk("show", result["mission"], "--json")
    assert shown.json["deliverable"] == result["deliverable"]
    followed = await desk("follow", result["mission"], "--json")
    replies = [line for line in followed.lines if line.get("kind") == "reply"]
    assert max(len(line["message"].get("files", {})) for line in replies) == FILES + 1
    assert len((await desk("artifacts", "ls", result["mission"], "--json")).json) == 2 * FILES + 1
