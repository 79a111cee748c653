"""What a run showed, as the roles pass it on and as a model reads it."""

from __future__ import annotations

from actors.messages import Evidence, Finding, Outcome

_OUTPUT_CHARS = 4_000


def evidence_of(outcome: Outcome, argv: tuple[str, ...]) -> Evidence:
    """Keep the end of a run's output: that is where an error stands."""
    output = "\n".join(part for part in (outcome.stdout, outcome.stderr) if part)
    return Evidence(
        run=outcome.run,
        argv=argv,
        status=outcome.status,
        exit_code=outcome.exit_code,
        output=output[-_OUTPUT_CHARS:],
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
