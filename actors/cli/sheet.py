"""One mission as `coo show` prints it."""

from __future__ import annotations

from typing import Any

from actors.cli.screen import out, out_pairs, out_table
from actors.money import usd
from actors.plain import plain
from actors.projections.timeline import SCRIPTED, asks

EVIDENCE = {
    "": "",
    "observed": "observed: the work was run and marked apart from what is expected of it (coo exam)",
    "claimed": "claimed: only the work itself says that it is right",
}


def sheet(told: dict[str, Any]) -> None:
    """Print a mission as `coo show` does, from what `Record.told` says."""
    doubt = f", ${told['in_doubt_usd']} of it in doubt" if told["in_doubt_usd"] != usd(0) else ""
    out_pairs(
        {
            "mission": told["id"],
            "status": told["status"],
            "reason": plain(told["reason"], 2_000),
            "fix": plain(told["fix"], 500),
            "refused": told["refusal"]["text"] if told["refusal"] else "",
            "asks": asks(told),
            "evidence": EVIDENCE[told["evidence"]],
            "goal": plain(told["goal"], 500),
            "money": f"${told['spent_usd']} spent{doubt}, ${told['held_usd']} held, of ${told['cap_usd']}",
            "model": told["model"] + (f" ({SCRIPTED})" if told["scripted"] else ""),
            "published": told["published"],
            "updated": told["updated"],
        }
    )
    if tasks := told["tasks"]:
        out("")
        rows = [
            (str(n), task["state"], str(task["attempts"]), task["title"]) for n, task in enumerate(tasks, 1)
        ]
        out_table(["TASK", "STATE", "ATTEMPTS", "TITLE"], rows)
    if files := told["deliverable"]:
        out("")
        out_table(["SIZE", "SHA256", "FILE"], [(str(f["size"]), f["sha256"][:16], f["path"]) for f in files])
