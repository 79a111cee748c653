"""What an approval stands on, on every surface; and that nothing else is delivered than what was examined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors import messages as m
from actors.cli.artifacts import deliver_to
from actors.errors import UserError
from actors.projections.record import read_record
from bus.table import Ref

WAIT = ("--timeout", "40")


async def test_work_without_an_exam_fails_and_says_why(desk: Any, company: Any) -> None:
    async with company():
        said = await desk("mission", "Say hello vaguely", "--budget", "1", "--wait", "--json", *WAIT)
    assert said.code == 3
    assert "QA's exams prove nothing. On empty answers these pass: greets" in said.lines[-1]["reason"]


async def test_work_on_its_own_word_says_so_on_every_surface(desk: Any, company: Any, tmp_path: Path) -> None:
    claimed = {"COO_APPROVALS__EVIDENCE": "claimed"}
    async with company():
        asked = await desk(
            "mission",
            "Say hello vaguely",
            "--budget",
            "1",
            "--approve",
            "release",
            "--wait",
            *WAIT,
            **claimed,
        )
        mission = asked.out.split()[0]
        approved = await desk("approve", mission)
        followed = await desk("follow", mission)
    assert "(evidence: its own word)" in followed.out
    assert "approved on its own word alone" in followed.out.splitlines()[-2] + followed.out.splitlines()[-1]
    assert "evidence: claimed" in approved.err
    assert "claimed: only the work itself says that it is right" in (await desk("show", mission)).out
    assert (await desk("show", mission, "--json")).json["evidence"] == "claimed"
    assert "completed (claimed)" in (await desk("ls")).out
    got = await desk("artifacts", "get", mission, "--out", tmp_path / "got")
    assert (got.code, "approved on its own word alone" in got.err) == (0, True)
    assert (await desk("verify", "--all")).code == 0


async def test_what_was_not_examined_is_not_delivered(
    desk: Any, company: Any, nats: Any, tmp_path: Path
) -> None:
    async with company():
        said = await desk("mission", "Say hello", "--budget", "1", "--wait", *WAIT)
    ceo = await nats.connect("ceo")
    record = await read_record(ceo, said.out.split()[0])
    assert isinstance(record.status, m.Status)
    other = {**record.status.deliverable, "greet.py": Ref(owner="model-engineer", digest="0" * 64, size=1)}
    record.status = msgspec.structs.replace(record.status, deliverable=other)
    with pytest.raises(UserError, match="is not what QA examined; nothing was written"):
        await deliver_to(ceo, record, tmp_path / "out", force=False)
    assert not (tmp_path / "out").exists()
