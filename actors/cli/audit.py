"""`coo audit`: prove from the log that no limit was passed and that the guard's books are right.

Walks every prefix of the guard's mail with two ledgers at once: the guard's own rules, and the desk's books,
which recompute everything from what was granted and what became of it. Proven at each prefix: every grant
stays under every limit (I1) and is on all its accounts (I2); pending is the sum of the open holds (I3); one
attempt has one grant and one end (I4, I5); nothing is sent without a grant (I9); amounts are integers in
range (I14); both ledgers agree (I18). Overruns are listed: booked on the mission in full, then frozen (I17);
so is usage that cannot be the bill of what was sent and received.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from actors.cli.connection import connected
from actors.cli.exits import Exit
from actors.cli.options import DataDirOption, JsonOption, ServerOption, run
from actors.cli.screen import note, out, out_json, out_table
from actors.money import usd
from actors.plain import plain
from actors.projections.audit import Proof, prove
from actors.projections.books import Books
from actors.projections.guard import read_letters

_SHOWN = 20


def audit(data_dir: DataDirOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Prove every prefix of the ledger; exit code 1 if anything is wrong with it."""
    code = run(_audit(as_json, data_dir, server))
    if code:
        raise typer.Exit(int(code))


async def _audit(as_json: bool, data_dir: Path | None, server: str | None) -> Exit:
    async with connected(data_dir, server) as carrier:
        proof = prove(await read_letters(carrier))
    told = _told(proof)
    if as_json:
        out_json(told)
    else:
        _print(told)
    return Exit.BUG if proof.violations else Exit.DONE


def _told(proof: Proof) -> dict[str, Any]:
    books = proof.books
    return {
        "messages": proof.messages,
        "holds": len(books.holds),
        "entries": len(books.entries),
        "peaks": [_peak(books, name) for name in sorted(books.accounts)],
        "overruns": books.overruns,
        "implausible": books.implausible,
        "longest_overdue_s": f"{books.latest_ns // 10**6 / 1000:.3f}",
        "held_usd": usd(sum(hold.now for hold in books.holds.values() if hold.status in ("held", "sent"))),
        "under_way": proof.under_way,
        "earlier": proof.earlier,
        "violations": proof.violations,
        "clean": not proof.violations,
    }


def _peak(books: Books, name: str) -> dict[str, str]:
    account = books.accounts[name]
    limit = account.limit
    return {
        "account": name,
        "peak_usd": usd(account.peak),
        "limit_usd": "" if limit is None else usd(limit),
        "spent_usd": usd(account.posted),
    }


def _print(told: dict[str, Any]) -> None:
    names = ("account", "peak_usd", "limit_usd", "spent_usd")
    head = ["ACCOUNT", "PEAK OF SPENT AND HELD", "LIMIT", "SPENT"]
    out_table(head, [tuple(one[name] or "–" for name in names) for one in told["peaks"]])
    for overrun in told["overruns"][:_SHOWN]:
        note(f"overrun: {plain(overrun)}")
    for usage in told["implausible"][:_SHOWN]:
        note(f"implausible usage: {plain(usage)}")
    for violation in told["violations"][:_SHOWN]:
        note(f"✘ {plain(violation)}")
    if told["under_way"]:
        note(f"The guard has not answered the last {told['under_way']} messages yet: they are not proven.")
    if told["earlier"]:
        note(f"{told['earlier']} messages were decided by an earlier version: proven by the books alone.")
    wrong = len(told["violations"])
    verdict = f"✘ {wrong} violations" if wrong else "✔ no violation"
    out(f"{verdict} in {told['messages']} messages, {told['holds']} holds, {told['entries']} entries")
