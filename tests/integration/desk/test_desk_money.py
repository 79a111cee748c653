"""`coo budget`, `coo audit` and `coo prices` as they are typed, on a real server."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

WAIT = ("--timeout", "50s")


async def test_a_mission_asks_for_more_and_the_ledger_tells_all_of_it(desk: Any, company: Any) -> None:
    async with company():
        said = await desk("mission", "Say hello", "--budget", "0.001", "--wait", *WAIT)
        name = said.out.splitlines()[0]
        assert said.code == 5
        assert "to raise the cap by $0.01" in said.err
        for _ in range(3):
            shown = (await desk("show", name, "--json")).json
            if shown["status"] != "paused_budget" or not shown["asks"]:
                break
            approved = await desk("approve", name)
            assert approved.code == 0, approved.err
            assert "asks to raise its cap from $" in approved.err
            await desk("follow", name, *WAIT)
        raised = await desk("budget", "raise", name, "+1.00", "--json")
        if raised.code == 0:
            assert raised.json["raised_by_usd"] == "1.00"
        assert (await desk("follow", name, *WAIT)).code == 0
        money = (await desk("budget", "--json")).json
        told = {one["account"]: one for one in money["accounts"]}[f"mission:{name}"]
        shown = (await desk("show", name, "--json")).json
        assert (told["spent_usd"], told["held_usd"]) == (shown["spent_usd"], "0.00")
        assert told["limit_usd"] == shown["cap_usd"]
        ledger = await desk("budget", "ledger", name, "--csv")
        rows = list(csv.DictReader(io.StringIO(ledger.out)))
        assert {row["what"] for row in rows} == {"held", "settled"}
        audit = await desk("audit", "--json")
        assert (audit.code, audit.json["violations"]) == (0, [])
        assert "PEAK" in (await desk("audit")).out


async def test_limits_are_set_and_used(desk: Any, company: Any) -> None:
    async with company():
        assert (await desk("budget", "set")).code == 2
        assert (await desk("budget", "set", "--daily", "1.0000001")).code == 2
        told = await desk("budget", "set", "--daily", "0", "--mission", "0.5", "--json")
        assert (told.json["daily_usd"], told.json["mission_usd"]) == ("0.00", "0.50")
        said = await desk("mission", "Say hello", "--wait", *WAIT)
        assert said.code == 5
        assert "for at most $0.50" in said.err
        assert "the day limit has $0.00 left" in said.out
        assert (await desk("budget", "raise", said.out.split()[0], "1.00")).code == 2
        today = (await desk("budget", "--json")).json["accounts"][0]
        assert (today["limit_usd"], today["left_usd"]) == ("0.00", "0.00")


async def test_a_role_out_of_tokens_goes_on_when_its_cap_is_raised(desk: Any, company: Any) -> None:
    desk.env["COO_MISSION__ROLE_TOKENS__ENGINEER"] = "100"
    async with company():
        slots = await desk("budget", "set", "--slots", "3", "--json")
        assert slots.json["slots"] == 3
        said = await desk("mission", "Say hello", "--wait", *WAIT)
        assert said.code == 5
        name = said.out.split()[0]
        assert "no tokens: the next call may take" in said.out
        shown = (await desk("show", name, "--json")).json
        assert shown["refusal"]["scope"] == "role_tokens"
        assert shown["refusal"]["text"].endswith("100 left")
        for wrong in ("engineer=5", "ceo=+5", "engineer=+x", "engineer=+-5", "engineer"):
            refused = await desk("budget", "raise", name, "--tokens", wrong)
            assert (refused.code, "--tokens engineer=+50000" in refused.err) == (2, True)
        assert (await desk("budget", "raise", name)).code == 2
        raised = await desk("budget", "raise", name, "--tokens", "engineer=+1000000", "--json")
        assert raised.json["raised_by_tokens"] == {"engineer": 1_000_000}
        assert (await desk("follow", name, *WAIT)).code == 0
        assert (await desk("audit", "--json")).json["violations"] == []


async def test_prices_are_shown_and_a_stale_one_is_an_error(desk: Any, tmp_path: Path) -> None:
    shown = await desk("prices", "--json")
    assert shown.code == 0
    assert shown.json[0]["state"] == "invented"
    file = tmp_path / "old.yaml"
    file.write_text("prices: {providers: {scripted: {as_of: 2020-01-01}}}")
    stale = await desk("prices", "--config", file)
    assert stale.code == 2
    assert "stale" in stale.out
