"""`python -m actors.host.nats.conf`: write the files that follow from the kind table."""

from __future__ import annotations

from pathlib import Path

from actors.table import TABLE
from bus.server.authority import render

CONF = Path(__file__).parents[3] / "nats-server.conf"


def main() -> None:
    """Write nats-server.conf anew."""
    CONF.write_text(render(TABLE), "utf-8")
    print(f"{CONF} written")


if __name__ == "__main__":
    main()
