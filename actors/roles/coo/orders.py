"""What the COO orders in the course of a mission, as it follows from the state. Pure."""

from __future__ import annotations

from typing import Literal

from actors import messages as m
from actors.roles.coo.standing import Desk
from actors.roles.evidence import shortened


def open_order(desk: Desk) -> m.Open:
    """Return what opens the mission's account at the guard, or asks for a slot again."""
    assert desk.mission is not None
    terms = desk.terms
    return m.Open(
        cap_microusd=desk.mission.budget_microusd,
        margin_percent=terms.margin_percent,
        call_tokens=terms.call_tokens,
        role_tokens={f"model-{role}": cap for role, cap in terms.role_tokens.items()},
        priority=terms.priority,
    )


def most_tasks(desk: Desk) -> int:
    """Return how many tasks a plan of what is left may have."""
    return max(desk.terms.max_tasks - desk.current, 1)


def plan_call(desk: Desk) -> m.Call:
    """Return the call that plans the mission."""
    assert desk.mission is not None
    return m.Call(
        turn="plan",
        model=desk.terms.models["coo"],
        max_output_tokens=desk.terms.max_output_tokens,
        round=desk.plans,
        goal=desk.mission.goal,
        variables={
            "goal": desk.mission.goal + (shortened(_so_far(desk), _SO_FAR_BYTES) if desk.blocked else ""),
            "max_tasks": str(most_tasks(desk)),
        },
    )


_SO_FAR_BYTES = 16 * 1024


def _so_far(desk: Desk) -> str:
    """Write what came of the last plan, for the next one."""
    done = [f"done: {job.plan.title}" for job in desk.jobs[: desk.current]]
    failed = desk.jobs[desk.current].plan
    command = " ".join(failed.acceptance)
    return "\n".join(
        [
            "",
            "",
            "An earlier plan of this could not be carried out.",
            *done,
            f"could not be done: {failed.title}; its command was: {command}",
            f"in the way was: {desk.blocked}",
            "files there are:",
            *sorted(desk.files),
        ]
    )


def task_for(desk: Desk, role: Literal["engineer", "qa"]) -> m.Task:
    """Return the task at hand, for whoever works on it now."""
    assert desk.mission is not None
    job = desk.jobs[desk.current]
    start = desk.work if job.rework else desk.files
    return m.Task(
        number=desk.current,
        plan=job.plan,
        goal=desk.mission.goal,
        terms=desk.terms,
        files=start if role == "engineer" else desk.work,
        rework=job.rework,
        findings=job.findings,
        before=desk.files,
    )


_EVIDENCE: dict[m.Rank, str] = {
    "": "",
    "observed": " (evidence: observed)",
    "claimed": " (evidence: its own word)",
}


def release_request(desk: Desk) -> m.Request:
    """Return what is asked of the CEO before the deliverable is released."""
    assert desk.mission is not None
    return m.Request(
        what="release",
        digest=desk.digest,
        why=f"{len(desk.files)} files for: {desk.mission.goal[:500]}{_EVIDENCE[desk.rank]}",
        timeout_s=desk.terms.approval_timeout_s,
    )


def raise_request(desk: Desk) -> m.Request:
    """Return what is asked of the CEO when the cap is used up."""
    return m.Request(
        what="raise",
        digest=desk.asks_raise,
        why=desk.reason,
        timeout_s=desk.terms.approval_timeout_s,
        raise_microusd=desk.raise_microusd,
    )
