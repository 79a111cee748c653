"""Odd answers of providers, byte for byte over real HTTP: what is booked, and what is delivered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from bank import CALL, PLAN, Bank, running_bank
from player import CASES, HEAD, Player, case, running_player
from provider import KEY

from actors import messages as m
from bus import blobs
from config.amounts import picousd_per_token

HELD, IN_DOUBT, NOTHING = "held until its time-out", "in doubt at its hold", "given back"

BOOKED: dict[str, int | str] = {
    "reasoning-outside": 23_286,
    "cached-outside": IN_DOUBT,
    "usage-zeros": IN_DOUBT,
    "zero-output-only": IN_DOUBT,
    "zeros-never-stop": IN_DOUBT,
    "usage-first": IN_DOUBT,
    "usage-in-halves": 1_200 + 500 * 4,
    "usage-then-empty": 3_000,
    "empty-data": 3_000,
    "ping-text": HELD,
    "no-final-newline": 3_000,
    "one-final-newline": 3_000,
    "crlf": 3_000,
    "cr-only": 3_000,
    "data-in-two-lines": HELD,
    "bom": 3_000,
    "200-json-error": HELD,
    "200-json-no-stream": HELD,
    "200-html": HELD,
    "308": NOTHING,
    "bare-json-in-stream": HELD,
    "event-error": HELD,
    "503-loading": NOTHING,
    "409": NOTHING,
    "no-finish": 3_000,
    "finish-null-text-cut": IN_DOUBT,
    "finish-empty-after-stop": 3_000,
    "content-filter": 3_000,
    "split-surrogates": 3_000,
    "emoji-in-comment": 3_000,
    "lone-half-in-plan": 3_000,
    "delta-null": 3_000,
    "float-tokens": 3_000,
    "utf8-cut": 3_000,
    "cost-object": 9_000,
}
CODE = {"zeros-never-stop", "split-surrogates", "emoji-in-comment"}
BAD = {"no-finish", "finish-null-text-cut", "lone-half-in-plan"}
"""Those whose answer, paid for or not, cannot be used."""


@pytest.fixture
async def bank(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bank]:
    monkeypatch.setenv("COO_TEST_KEY", KEY)
    async with running_bank() as bank:
        yield bank


@pytest.fixture
async def player() -> AsyncIterator[Player]:
    async with running_player() as player:
        yield player


def prices(name: str) -> dict[str, int | None]:
    path = CASES / name / "prices.json"
    given = json.loads(path.read_text()) if path.exists() else {}
    return {
        "input_picousd_per_token": picousd_per_token(given.get("input_usd_per_mtok", "1.00")),
        "output_picousd_per_token": picousd_per_token(given.get("output_usd_per_mtok", "4.00")),
        "cache_hit_picousd_per_token": picousd_per_token(hit)
        if (hit := given.get("cache_hit_usd_per_mtok"))
        else None,
    }


def asked(name: str) -> m.Call:
    return msgspec.structs.replace(CALL, max_output_tokens=8_000) if name in CODE else PLAN


async def answer(bank: Bank, player: Player, name: str, n: int = 1) -> Any:
    player.say = lambda: case(name)
    role = "engineer" if name in CODE else "coo"
    performer = bank.performer(player, role=role, timeout_s=60.0, max_output_tokens=8_000, **prices(name))
    return await performer.perform(await bank.order(n, asked(name)))


def test_every_case_has_its_figure() -> None:
    assert set(BOOKED) == {path.name for path in CASES.iterdir() if path.is_dir()}


@pytest.mark.parametrize("chunk_bytes", [1 << 16, 7])
@pytest.mark.parametrize("name", BOOKED)
async def test_a_case_is_booked_as_it_should_be(
    bank: Bank, player: Player, name: str, chunk_bytes: int
) -> None:
    player.chunk_bytes = chunk_bytes
    reply = await answer(bank, player, name)
    books = await bank.books()
    account, held = books.accounts["mission:m-1"], bank.facts("granted")[0].microusd
    found = (account.posted, account.pending, account.in_doubt)
    match BOOKED[name]:
        case int() as microusd:
            assert found == (microusd, 0, 0)
            assert books.implausible == []
        case word:
            assert found == {IN_DOUBT: (held, 0, held), HELD: (0, held, 0), NOTHING: (0, 0, 0)}[word]
            assert len(books.implausible) == (word == IN_DOUBT)
    used = BOOKED[name] not in (HELD, NOTHING) and name not in BAD
    assert (reply.status == "answered") == used, reply.detail


async def test_halves_of_a_character_in_two_events_are_one_in_the_file(bank: Bank, player: Player) -> None:
    for n, name in enumerate(("split-surrogates", "emoji-in-comment")):
        reply = await answer(bank, player, name, n)
        content = (await blobs.get(bank.carrier, reply.files["hello.py"])).decode()
        assert "\U0001f600" in content
        assert "?" not in content


async def test_half_a_character_alone_is_told_to_the_model_and_delivered_nowhere(
    bank: Bank, player: Player
) -> None:
    reply = await answer(bank, player, "lone-half-in-plan")
    assert (reply.status, reply.error) == ("failed", "invalid_answer")
    assert "half of a character" in reply.detail
    body = case("split-surrogates").replace(rb'{"content":"\ude00"}', b"{}")
    player.say = lambda: body
    performer = bank.performer(player, max_output_tokens=8_000)
    reply = await performer.perform(await bank.order(2, asked("split-surrogates")))
    assert (reply.status, reply.files) == ("failed", {})
    assert "d83d, stands alone" in reply.detail


async def test_answers_that_count_no_tokens_end_at_the_cap(bank: Bank, player: Player) -> None:
    held = 0
    for n in range(1, 60):
        reply = await answer(bank, player, "zeros-never-stop", n)
        if reply.status == "refused":
            break
        held += bank.facts("granted")[-1].microusd
    assert reply.refusal.scope == "mission"
    assert 900_000 < held == await bank.posted() <= 1_000_000


# -- nothing is killed ------------------------------------------------------------------------------------

DEEP = b"[" * 200_000
ODD: list[bytes] = [
    b'{"choices": 5}',
    b'{"choices": {"a": 1}}',
    b'{"choices": true, "usage": [1]}',
    b'{"choices": [1, null, {"delta": 5, "finish_reason": {}}]}',
    b'{"choices": [{"delta": {"content": {"a": ["b"]}}}]}',
    b'{"usage": {"prompt_tokens": {}, "completion_tokens": [], "prompt_tokens_details": 7}}',
    b'{"usage": {"prompt_tokens": 1e400, "completion_tokens": 1e-400, "cost": 1e999999}}',
    b'{"usage": {"prompt_tokens": 1e99999999999999999999}}',
    b'{"usage": {"prompt_tokens": ' + b"9" * 5_000 + b"}}",
    b'{"usage": {"prompt_tokens": -1, "completion_tokens": true, "cost": -0.0}}',
    b'{"error": ' + DEEP + b"}",
    b'{"error": {"message": "' + KEY.encode() + b'"}}',
    b"\xff\xfe",
    b'{"choices": ' + DEEP,
    DEEP + b"]" * 200_000,
    b'{"choices": [{"delta": ' + b'{"a": ' * 900 + b"1" + b"}" * 900 + b"}]}",
]


@pytest.mark.parametrize("data", ODD, ids=range(len(ODD)))
async def test_an_odd_event_kills_nothing_and_is_booked(bank: Bank, player: Player, data: bytes) -> None:
    player.say = lambda: HEAD + b"data: " + data + b"\n\n" + case("crlf").removeprefix(HEAD)
    performer = bank.performer(player, role="coo", timeout_s=60.0, max_output_tokens=8_000)
    reply = await performer.perform(await bank.order(1, PLAN))
    account = (await bank.books()).accounts["mission:m-1"]
    assert account.posted + account.pending > 0
    assert KEY not in msgspec.json.encode(reply).decode()


# -- no secret, and no call that cannot be made ------------------------------------------------------------


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:99999/v1",
        "http:///v1",
        "http://bob:pa55word-very-secret@127.0.0.1:9/v1",
        "https://host/v1?key=pa55word-very-secret",
        "http://[::1/v1",
        "http://a b/v1",
        "",
    ],
)
async def test_an_address_that_cannot_be_called_costs_nothing_and_is_not_repeated(
    bank: Bank, player: Player, base_url: str
) -> None:
    reply: Any = await bank.performer(player, base_url=base_url).perform(await bank.order(1))
    assert reply.error == "no_endpoint"
    assert bank.facts("reserve") == []
    assert "pa55word" not in reply.detail


@pytest.mark.parametrize("ending", ["\n", "\r", "\n\nx", "\x00", " x", "é"])
async def test_a_key_that_no_header_can_carry_costs_nothing_and_is_not_repeated(
    bank: Bank, player: Player, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    if "\x00" not in ending:
        monkeypatch.setenv("COO_TEST_KEY", KEY + ending)
    else:
        monkeypatch.setenv("COO_TEST_KEY", KEY + "\x7f")
    reply: Any = await bank.performer(player).perform(await bank.order(1))
    assert (reply.error, bank.facts("reserve"), player.calls) == ("no_key", [], [])
    assert "COO_TEST_KEY" in reply.detail
    assert KEY not in reply.detail


async def test_a_provider_that_repeats_the_key_does_not_get_it_into_a_reply(
    bank: Bank, player: Player
) -> None:
    for n, said in enumerate(
        (
            HEAD + b'data: {"error": {"message": "bad key %s"}}\n\n' % KEY.encode(),
            HEAD + b"data: no json %s\n\n" % KEY.encode(),
            b"HTTP/1.1 500 %s\r\nConnection: close\r\n\r\n%s" % (KEY.encode(), KEY.encode()),
            b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % KEY.encode(),
        )
    ):
        player.say = lambda said=said: said
        reply: Any = await bank.performer(player).perform(await bank.order(n))
        assert reply.status == "failed"
        assert KEY not in reply.detail
