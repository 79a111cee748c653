"""The CEO's word: approving, rejecting, pausing, resuming, cancelling."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actors.table import TABLE

WAIT = ("--timeout", "50s")
ASKING = ("mission", "Say hello", "--budget", "1", "--approve", "release", "--wait", *WAIT)


async def test_a_release_is_looked_at_and_approved_once(desk: Any, company: Any, tmp_path: Path) -> None:
    async with company():
        said = await desk(*ASKING)
        name = said.out.splitlines()[0]
        assert said.code == 4
        assert f"coo approve {name}" in said.err
        digest = (await desk("show", name, "--json")).json["asks"]
        looked = await desk("artifacts", "get", name, "--out", tmp_path / "look")
        assert looked.code == 0
        assert "not released yet" in looked.err

        other = await desk("approve", name, "--digest", "0" * 64)
        assert (other.code, other.out) == (8, "")
        approved = await desk("approve", name, "--note", "nice", "--digest", digest, "--json")
        assert (approved.code, approved.json) == (
            0,
            {
                "mission": name,
                "verdict": "approve",
                "digest": digest,
                "answer": "approved",
                "authority": "enforced",
            },
        )
        assert "greet.py" in approved.err
        assert (await desk("follow", name)).code == 0
        for late in (["approve", name], ["reject", name, "--reason", "late"]):
            again = await desk(*late)
            assert again.code == 8
            assert "nothing waits for your decision. It was approved before." in again.err


async def test_a_rejected_release_fails_the_mission_for_the_reason_given(desk: Any, company: Any) -> None:
    async with company():
        name = (await desk(*ASKING)).out.splitlines()[0]
        assert (await desk("reject", name, "--reason", " ")).code == 2
        rejected = await desk("reject", name, "--reason", "too rude")
        assert (rejected.code, rejected.out) == (0, f"{name} rejected\n")
        followed = await desk("follow", name)
    assert followed.code == 3
    assert "too rude" in followed.out
    assert "✘ failed" in followed.out


async def test_a_mission_is_paused_resumed_and_cancelled(desk: Any, company: Any) -> None:
    async with company(["coo", "budget", "clock"]):
        name = (await desk("mission", "Say hello", "--budget", "1")).out.strip()
        paused = await desk("pause", name, "--reason", "lunch", "--json")
        assert (paused.code, paused.json) == (
            0,
            {"mission": name, "action": "pause", "status": "paused_manual"},
        )
        followed = await desk("follow", name)
        assert followed.code == 4
        assert "lunch" in followed.out
        declined = await desk("pause", name)
        assert declined.code == 8
        assert "pause changes nothing: the mission is paused_manual" in declined.err
        assert (await desk("resume", name)).code == 0
        assert (await desk("cancel", name)).out == f"{name} cancelled\n"
        assert (await desk("cancel", name)).code == 8
        assert (await desk("approve", name)).code == 8
        assert (await desk("follow", name)).code == 3


@pytest.mark.slow
async def test_a_word_that_nobody_answers_is_in_the_log_and_counts_later(desk: Any, company: Any) -> None:
    async with company(process for process in TABLE.processes if process != "approval"):
        asking = (await desk(*ASKING)).out.splitlines()[0]
    silent = (await desk("mission", "Say hello", "--budget", "1")).out.strip()
    said = await asyncio.gather(desk("approve", asking), desk("pause", silent))
    for one, role in zip(said, ("approval", "coo"), strict=True):
        assert (one.code, one.out) == (6, ""), one.err
        assert f"{role} has not answered" in one.err
    async with company():
        assert (await desk("follow", asking)).code == 0
        assert (await desk("follow", silent)).code == 4
