"""What the banner claims: what is known, or that it is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.cli.console import block
from actors.host.nats.server import syncs_always

SYNCED = "synced to disk before a message counts as stored"


def told(**given: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "version": "1",
        "url": "nats://h:4222",
        "data_dir": "/data",
        "ephemeral": False,
        "server": {"version": "2.15.1", "pid": 1, "origin": "ours"},
        "durability": "synced",
        "model": "scripted",
        "sandbox": "docker",
        "sandbox_walls": "no network",
        "limits": {"mission_usd": "1.00", "daily_usd": "2.00", "monthly_usd": "3.00"},
        "actors": {"coo": 2},
        "lost": {},
        "authority": "enforced",
        "seconds": 1.0,
    }
    return {**base, **given}


@pytest.mark.parametrize("ephemeral", [True, False])
@pytest.mark.parametrize("durability", ["synced", "unsynced", "unknown"])
@pytest.mark.parametrize("server", [told()["server"], None])
def test_only_what_is_known_of_the_store_is_claimed(
    ephemeral: bool, durability: str, server: dict[str, Any] | None
) -> None:
    shown = block(told(ephemeral=ephemeral, durability=durability, server=server))
    assert (SYNCED in shown) == (server is not None and durability == "synced" and not ephemeral)
    assert ("is not known" in shown) == (server is None)
    assert ("the log is on that server" in shown) == (server is None)
    lossy = server is not None and durability != "synced" and not ephemeral
    assert ("a power cut can lose" in shown) == lossy


@pytest.mark.parametrize(
    ("text", "always"),
    [
        ("jetstream {\n  sync_interval: always\n}", True),
        ('jetstream { sync_interval = "always" }', True),
        ("jetstream { sync_interval: 2m }", False),
        ("jetstream { # sync_interval: always\n }", False),
        ("jetstream {}", False),
    ],
)
def test_whether_the_server_syncs_is_read_in_its_configuration(
    tmp_path: Path, text: str, always: bool
) -> None:
    (tmp_path / "nats.conf").write_text(text)
    assert syncs_always(tmp_path / "nats.conf") is always
