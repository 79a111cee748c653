"""What `coo artifacts get` does with a deliverable of a taken actor: no model's answer brought it in."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from actors import messages as m
from actors.table import TABLE
from bus import blobs
from bus.envelope import Cause, Outgoing, seal


async def finished(nats: Any, name: str, files: dict[str, bytes]) -> None:
    """Write a completed mission with this deliverable, as a taken COO process could."""
    coo = await nats.connect("coo")
    refs = {path: await blobs.put(coo, "coo", content) for path, content in files.items()}
    status = m.Status(state="completed", at=1, deliverable=refs)
    cause = Cause("ceo", "x", 1, coo.now_ns(), "")
    await coo.publish(
        seal(TABLE, sender="coo", version=1, to="ceo", mission=name, message=status, cause=cause)
    )
    operator = await nats.connect("operator")
    await operator.publish(Outgoing(f"coo.m.{name}.coo.mission.ceo", {"Nats-Msg-Id": name}, b"{}"))


async def test_what_git_obeys_is_not_written_and_what_others_obey_is_listed_first(
    nats: Any, desk: Any, tmp_path: Path
) -> None:
    mark, out = tmp_path / "mark", tmp_path / "out"
    config = f'[core]\n\tfsmonitor = "touch {mark} #"\n'.encode()
    git = {"config": config, "HEAD": b"ref: refs/heads/main\n", "objects/x": b"", "refs/x": b""}
    hostile = {
        f"{place}{name}": content for place in (".Git/", ".git./", "") for name, content in git.items()
    }
    await finished(nats, "m-1", {**hostile, "--force": b"", "work.py": b"pass\n", ".envrc": b"touch x\n"})
    said = await desk("artifacts", "get", "m-1", "--out", out, "--json")

    assert said.code == 8  # something was left out, and each is named
    written = {"work.py", ".envrc", "config", "objects/x", "refs/x"}
    assert set(json.loads(said.out)["written"]) == written
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == written
    assert all(
        f"not written: {path!r}" in said.err for path in (".Git/config", ".git./HEAD", "HEAD", "--force")
    )
    assert said.err.index("'.envrc' is obeyed by direnv") < said.err.index("files written to")
    if shutil.which("git"):
        await asyncio.to_thread(look_with_git, tmp_path, [out, out / "objects"])
    assert not mark.exists()


def look_with_git(parent: Path, places: list[Path]) -> None:
    for words, place in [("init", parent), *(("status", place) for place in (*places, parent))]:
        subprocess.run(["git", words], cwd=place, capture_output=True, check=True, timeout=30)
