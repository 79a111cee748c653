"""`coo prices`: what every callable model costs, and whether its price may still be used."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import typer

from actors.cli.config import ConfigOption
from actors.cli.exits import Exit
from actors.cli.options import JsonOption
from actors.cli.screen import note, out_json, out_table
from actors.desk.configuration import load_settings

if TYPE_CHECKING:
    from config.sections import Rates
    from config.settings import Settings


def prices(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print every price in US dollars for a million tokens; exit code 2 if one in use is too old."""
    settings = load_settings(config)
    told = told_of(settings, datetime.now(UTC).date())
    if as_json:
        out_json(told)
    else:
        names = ("provider", "model", "when", "input_usd", "cache_hit_usd", "output_usd", "as_of", "state")
        head = ["PROVIDER", "MODEL", "WHEN (UTC)", "INPUT", "CACHE HIT", "OUTPUT", "AS OF", "STATE"]
        out_table(head, [tuple(one[name] or "–" for name in names) for one in told])
        for text in sorted({one["note"] for one in told}):
            note(text)
    if any(one["state"] == "stale" and one["in_use"] for one in told):
        note("A model with a stale price is not called. Look it up and set prices.providers.<name>.as_of.")
        raise typer.Exit(int(Exit.USAGE))


def told_of(settings: Settings, today: date) -> list[dict[str, str]]:
    """Return every price, those of peak hours apart; `in_use` names the roles that call the model."""
    stale, roles = settings.prices.stale(today), dict(settings.models.roles)
    told = []
    for provider, listed in sorted(settings.prices.providers.items()):
        for model, price in sorted(listed.models.items()):
            common = {
                "as_of": str(listed.as_of or ""),
                "state": "stale" if provider in stale else "invented" if not listed.as_of else "good",
                "in_use": ", ".join(role for role, used in roles.items() if used == model),
                "note": listed.note,
            }
            told.append({"provider": provider, "model": model, "when": "", **_rates(price), **common})
            if price.peak is not None:
                when = ", ".join(price.peak.windows)
                told.append(
                    {"provider": provider, "model": model, "when": when, **_rates(price.peak), **common}
                )
    return told


def _rates(rates: Rates) -> dict[str, str]:
    return {
        "input_usd": rates.input_usd_per_mtok,
        "cache_hit_usd": rates.cache_hit_usd_per_mtok or "",
        "output_usd": rates.output_usd_per_mtok,
    }
