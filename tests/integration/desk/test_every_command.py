"""Every command on a log, files and names that a taken actor wrote. Commands are found, not listed."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import subprocess
import unicodedata
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from every_command import COO, READS, WRITES, documented, each, every_command, has_json

from actors import messages as m
from actors.roles.evidence import digest_of
from actors.table import TABLE
from bus import blobs
from bus.envelope import Outgoing, base_headers, encode
from bus.loops.publisher import publish_surely

pytestmark = pytest.mark.slow

STYLE = re.compile(r"\x1b\[(?:31|32|33|1|2|1;31)m((?:[^\x1b])*)\x1b\[0m")
HOSTILE = (
    *(
        "\x1b]0;owned\x07",
        "\x1b]52;c;cm0gLXJm\x1b\\",
        "\x1b[2J",
        "\x1b[31m",
        "\x1bPq#0\x1b\\",
        "\x1b",
        "\x9b2J",
        "\x9d0;x\x9c",
    ),
    *(
        "\r",
        "\b\b\b",
        "\x7f",
        "\x00",
        "\x85",
        "\u202e",
        "\u2066",
        "\u061c",
        "\u200b",
        "\u200d",
        "\ufeff",
        "\u2060",
    ),
    *("\u2028", "\u2029", "\t", "\n", "[bold]x[/bold]", "größer ✔"),
)


def obeyed(text: str) -> list[str]:
    """Return what a terminal would obey in a text, our own styles and line breaks aside."""
    shown = STYLE.sub(r"\1", text.replace("\r\n", "\n"))
    return [c for c in shown if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def test_every_command_has_a_line_in_the_list() -> None:
    assert set(every_command()) == {*READS, *WRITES} - {""}


# -- a log that a taken actor could have written ------------------------------------------------------------


class Hostile:
    """Makes messages with hostile text in every field, keys and names included."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def text(self) -> str:
        pieces = self._random.sample(HOSTILE, 4)
        return "a" + "b".join(pieces)

    def struct(self, kind: type[msgspec.Struct], **given: Any) -> Any:
        fields = msgspec.structs.fields(kind)
        return kind(**{f.name: given[f.name] if f.name in given else self.value(f.type) for f in fields})

    def value(self, kind: Any) -> Any:
        origin, inner = get_origin(kind), get_args(kind)
        if kind is str:
            return self.text()
        if kind is int:
            return self._random.randrange(1, 9)
        if kind is bool:
            return self._random.random() < 0.5
        if kind is msgspec.Raw:
            return msgspec.Raw(b"null")
        if origin is Literal:
            return self._random.choice(inner)
        if origin is tuple:
            return (self.value(inner[0]), self.value(inner[0]))
        if origin is dict:
            return {self.value(inner[0]): self.value(inner[1])}
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(kind)
        return self.value(next(one for one in inner if one is not type(None)))  # X | None


async def hostile_log(nats: Any, logs: Path, mission: str, seed: int, state: str) -> dict[str, str]:
    """Write one message of every row of the table, dead letters and log lines; return what to ask about."""
    hostile = Hostile(seed)
    operator, engineer, ceo = [await nats.connect(name) for name in ("operator", "engineer", "ceo")]
    kinds = {
        (row.kind, row.sender, row.to): row.message
        for row in TABLE.rows
        if row.kind not in ("buried", "limits")
    }
    refs = {hostile.text(): await blobs.put(ceo, "ceo", hostile.text().encode("utf-8", "surrogatepass"))}
    status = hostile.struct(
        m.Status,
        state=state,
        at=99,
        deliverable=refs,
        asks=digest_of(refs) if "paused" in state else "",
        raise_microusd=0,
    )
    first, last = ("mission", "ceo", "coo"), ("status", "coo", "ceo")
    middle = [key for key in kinds if key not in (first, last)]
    for key in (first, *middle, last):
        kind, sender, to = key
        message = status if key == last else hostile.struct(kinds[key], blob=None)
        headers = base_headers(f"{mission}-{kind}-{sender}-{to}", sender, kind, operator.now_ns())
        subject = f"coo.m.{mission}.{to}.{kind}.{sender}"
        seq = await publish_surely(operator, Outgoing(subject, headers, encode(message)))
    for n in range(2):
        said = {f"coo-dlq-{name}": hostile.text() for name in ("subject", "error", "traceback", "reason")}
        percent = {k: "".join(f"%{b:02X}" for b in v.encode()) for k, v in said.items()}
        headers = {
            **base_headers(f"dead-{mission}-{n}", "engineer", "dead_letter", 0),
            **percent,
            "coo-dlq-seq": "1",
        }
        dead = await publish_surely(
            engineer, Outgoing(f"coo.dlq.engineer.{mission}", headers, hostile.text().encode())
        )
    with (logs / "qa.jsonl").open("a") as file:
        for _ in range(20):
            line = {
                "timestamp": hostile.text(),
                "level": "error",
                "event": hostile.text(),
                "actor": hostile.text(),
            }
            file.write(
                json.dumps(line | {hostile.text(): hostile.text(), "exception": hostile.text()}) + "\n"
            )
            file.write(hostile.text().replace("\n", "") + "\n")
    with (logs / "nats-server.log").open("a") as file:
        file.write(f"[71] 2026/11/22 08:00:01.500000 [ERR] {hostile.text()}\n{hostile.text()}\n")
    return {"mission": mission, "seq": str(seq), "dead": str(dead)}


@pytest.fixture
async def asked(nats: Any, desk: Any, tmp_path: Path) -> list[dict[str, str]]:
    """Two hostile missions, one over and one that waits, and what to ask about them."""
    logs = tmp_path / "company" / "logs"
    (tmp_path / "hostile.yaml").write_text('limits: {"\x85\u202e": "\u200b"}\n')
    done = await hostile_log(nats, logs, "m-done", 1, "completed")
    waits = await hostile_log(nats, logs, "m-waits", 2, "paused_approval")
    config = {"config": str(tmp_path / "hostile.yaml"), "folder": str(tmp_path / "out")}
    return [{**done, **config}, {**waits, **config}]


def on_terminal(argv: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Run a command with a terminal for stdout and stderr, and return all that reached it."""
    reader, fd = pty.openpty()
    process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=fd, stderr=fd)
    os.close(fd)
    seen = b""
    try:
        while content := os.read(reader, 65_536):
            seen += content
    except OSError:  # EIO: the other end is closed
        pass
    os.close(reader)
    return process.wait(60), seen.decode()


async def test_no_command_lets_a_log_move_a_terminal(desk: Any, asked: list[dict[str, str]]) -> None:
    shows = {**READS, "approve": WRITES["approve"], "dlq replay": [("{dead}", "--dry-run")]}
    argvs = [
        [*name.split(), *(word.format(**about) for word in words)]
        for about in asked
        for name, ways in shows.items()
        for words in ways
    ]
    done = await each(lambda argv: on_terminal([*COO, *argv], desk.env), argvs)
    for argv, (code, seen) in zip(argvs, done, strict=True):
        assert code in documented(argv), (argv, seen)
        assert obeyed(seen) == [], (argv, seen)
        assert "Traceback (most" not in seen or argv[0] in ("dlq", "logs"), (argv, seen)


async def test_json_of_every_command_is_ascii_json_that_says_what_the_log_says(
    desk: Any, asked: list[dict[str, str]]
) -> None:
    commands = every_command()
    argvs = [
        [*name.split(), *(word.format(**about) for word in words), "--json"]
        for about in asked
        for name, ways in READS.items()
        for words in ways
        if has_json(commands[name]) and not {"--raw", "--csv", "--print-conf"} & set(words)
    ]

    def typed(argv: list[str]) -> subprocess.CompletedProcess[bytes]:
        words = [*COO, *argv]
        return subprocess.run(words, env=desk.env, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    for argv, done in zip(argvs, await each(typed, argvs), strict=True):
        assert done.returncode in documented(argv), (argv, done)
        assert done.stdout.isascii()
        assert obeyed(done.stdout.decode()) == [], argv
        assert obeyed(done.stderr.decode()) == [], argv
        lines = [done.stdout] if done.stdout[:2] in (b"{\n", b"[\n") else done.stdout.splitlines()
        assert all(json.loads(line) is not None for line in lines), (argv, done)


async def test_raw_content_stays_as_it_is_in_a_pipe(desk: Any, asked: list[dict[str, str]]) -> None:
    dead = asked[0]["dead"]
    told = json.loads((await desk("dlq", "show", dead, "--json")).out)
    raw = await desk("dlq", "show", dead, "--raw")
    assert raw.out == told["body"]
    assert obeyed(raw.out) != []
