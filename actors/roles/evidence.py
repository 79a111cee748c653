"""What a run showed and which files are whose, as the roles pass it on and as a model reads it. Pure."""

from __future__ import annotations

import hashlib

from actors.messages import Evidence, Finding, Manifest, Outcome, Rank, Task

RESERVED = "qa_exam"
"""The folder of QA's files, which no work may use."""

_OUTPUT_CHARS = 4_000


def digest_of(files: Manifest) -> str:
    """Return the sha256 of a tree: its paths and contents, whoever stored them."""
    listing = "".join(f"{ref.digest} {ref.size} {path}\n" for path, ref in sorted(files.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def is_reserved(path: str) -> bool:
    """Say whether a path is in QA's folder, or would be on a file system that takes `A` for `a`."""
    return path.partition("/")[0].casefold() == RESERVED


def changed(task: Task, files: Manifest) -> list[str]:
    """Return the protected files of a task that are not in these files as they were before it."""
    return [path for path in task.plan.protected if _content(files, path) != _content(task.before, path)]


def _content(files: Manifest, path: str) -> tuple[str, int] | None:
    ref = files.get(path)
    return (ref.digest, ref.size) if ref else None


def missing(task: Task, files: Manifest) -> list[str]:
    """Return the outputs that the plan names and that are not in these files."""
    return [path for path in task.plan.outputs if path not in files]


def cannot_run(outcome: Outcome) -> bool:
    """Say whether the sandbox does not have a command, or cannot run it: whoever named it is at fault."""
    return outcome.status == "failed" and outcome.exit_code in (126, 127)


def evidence_of(outcome: Outcome, argv: tuple[str, ...], rank: Rank = "") -> Evidence:
    """Keep the end of a run's output: that is where an error stands."""
    output = "\n".join(part for part in (outcome.stdout, outcome.stderr) if part)
    return Evidence(
        run=outcome.run,
        argv=argv,
        status=outcome.status,
        exit_code=outcome.exit_code,
        output=output[-_OUTPUT_CHARS:],
        rank=rank,
    )


def shortened(text: str, most_bytes: int) -> str:
    """Return a text that takes no more of a prompt than so many bytes: its first lines."""
    encoded = text.encode()
    if len(encoded) <= most_bytes:
        return text
    kept = encoded[: most_bytes - 100].decode("utf-8", "ignore")
    kept = kept.rpartition("\n")[0] or kept
    return f"{kept}\n({len(encoded) - len(kept.encode())} more bytes are not shown)"


def passed(evidence: Evidence) -> bool:
    return evidence.status == "ok" and evidence.exit_code == 0


def shown(thing: Evidence | Finding) -> str:
    """Write evidence or a finding as a few lines of text."""
    match thing:
        case Evidence():
            head = f"{thing.run}: {' '.join(thing.argv)}: {thing.status}, exit code {thing.exit_code}"
            return f"{head}\n{thing.output}".rstrip()
        case Finding():
            where = f" ({thing.file})" if thing.file else ""
            expected = f" Expected: {thing.expected}" if thing.expected else ""
            return f"- {thing.problem}{where}{expected}"
