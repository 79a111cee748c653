"""The money path on a log in memory, against a provider with a meter of its own, over real HTTP."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from bank import CALL, MODEL, Bank, running_bank
from provider import KEY, Manner, Provider, running_provider

from actors import messages as m
from actors.performers.model.bill import Bill, NoMoney, Price
from actors.performers.model.providers.openai import Patience
from actors.performers.model.purse import Purse
from actors.table import TABLE
from bus import blobs


@pytest.fixture
async def bank(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bank]:
    monkeypatch.setenv("COO_TEST_KEY", KEY)
    async with running_bank() as bank:
        yield bank


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as provider:
        yield provider


# -- many callers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("charge", "served"), [(90_000, 11), (22_500, 41)])
async def test_64_callers_on_a_dollar_are_served_as_far_as_it_goes(
    bank: Bank, provider: Provider, charge: int, served: int
) -> None:
    provider.manner = Manner(usd_micro=charge)

    async def call(n: int) -> bool:
        purse = Purse(MODEL, 1, TABLE, bank.server.connect(), secrets.token_hex(8))
        order = await bank.order(n)

        async def ask(grant: Any) -> tuple[str, Bill]:
            import aiohttp

            async with (
                aiohttp.ClientSession() as session,
                session.post(
                    f"{provider.url}/chat/completions", json={}, headers={"Idempotency-Key": grant.attempt}
                ) as answer,
            ):
                await answer.read()
            return "", Bill(charge, 1, 1)

        try:
            await purse.pay(order, Price(90_000, 90_000, 20.0), ask)
        except NoMoney:
            return False
        return True

    done = await asyncio.gather(*(call(n) for n in range(64)))
    account = (await bank.books()).accounts["mission:m-1"]
    assert done.count(True) == len(provider.calls) == served
    assert (account.posted, account.pending) == (served * charge, 0)
    assert account.posted == provider.meter_micro
    assert account.peak <= 1_000_000
    print(f"hold 0.09, charge {charge}: {served} of 64 served, {account.posted / 10_000:.1f} % used")


async def test_two_processes_with_one_grant_make_one_call(bank: Bank, provider: Provider) -> None:
    order = await bank.order(1)
    replies = await asyncio.gather(*(bank.performer(provider).perform(order) for _ in range(4)))
    assert len(provider.calls) == 1
    assert len({msgspec.json.encode(reply) for reply in replies}) == 1
    assert await bank.posted() == 90_000


# -- what a provider does ---------------------------------------------------------------------------------


async def test_the_providers_own_figure_is_booked_exactly(bank: Bank, provider: Provider) -> None:
    provider.manner = Manner(usage={"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.0000001})
    await bank.performer(provider).perform(await bank.order(1))
    assert await bank.posted() == 1
    attempt, body = provider.calls[0]
    assert attempt == bank.facts("granted")[0].attempt
    assert (body["max_tokens"], body["stream"], body["model"]) == (1_000, True, "real")
    assert provider.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize("cost", [None, 0])
async def test_without_a_figure_of_the_providers_tokens_are_booked_at_our_prices(
    bank: Bank, provider: Provider, cost: Any
) -> None:
    usage = {"prompt_tokens": 1_000, "completion_tokens": 20, "cost": cost}
    provider.manner = Manner(usage=usage)
    await bank.performer(provider).perform(await bank.order(1))
    assert await bank.posted() == 1_000 + 20 * 100


@pytest.mark.parametrize("cost", ["NaN", -1, "0.09", True, 1e30, [1], {"total": 1}])
async def test_a_figure_that_is_not_an_amount_is_booked_at_the_hold_and_in_doubt(
    bank: Bank, provider: Provider, cost: Any
) -> None:
    usage = {"prompt_tokens": 1_000, "completion_tokens": 20, "cost": cost}
    provider.manner = Manner(usage=usage)
    await bank.performer(provider).perform(await bank.order(1))
    books = await bank.books()
    account = books.accounts["mission:m-1"]
    assert account.posted == account.in_doubt == bank.facts("granted")[0].microusd >= provider.meter_micro
    assert "cost is not a figure" in books.implausible[0]


async def test_an_answer_without_a_bill_stays_in_doubt_at_its_worst_case(
    bank: Bank, provider: Provider
) -> None:
    provider.manner = Manner(usage=None)
    reply: Any = await bank.performer(provider).perform(await bank.order(1))
    assert (reply.status, reply.error) == ("failed", "not_billed")
    bank.clock_ns[0] += 3600 * 10**9
    await bank.say("clock", "budget", m.Tick(name="expiry", at_ns=0), "tick", "company")
    await until(lambda: _in_doubt(bank))
    assert await bank.posted() == bank.facts("granted")[0].microusd >= provider.meter_micro


@pytest.mark.parametrize("status", [400, 401, 402, 404, 429])
async def test_what_was_refused_before_inference_is_given_back(
    bank: Bank, provider: Provider, status: int
) -> None:
    provider.manner = Manner(status=status, body=f"no: {KEY}")
    reply: Any = await bank.performer(provider).perform(await bank.order(1))
    assert reply.error == "refused_by_provider"
    assert KEY not in reply.detail
    assert await settled_at(bank) == (0, 0)


async def test_a_connection_that_was_never_made_is_given_back(bank: Bank, provider: Provider) -> None:
    reply: Any = await bank.performer(provider, base_url="http://127.0.0.1:1/v1").perform(await bank.order(1))
    assert reply.error == "not_sent"
    assert await settled_at(bank) == (0, 0)


@pytest.mark.parametrize(
    "manner",
    [
        Manner(status=500, body="oops"),
        Manner(drop_after=3),
        Manner(usage=None, finish=None),
        Manner(usage=None, then='data: {"error": {"code": 502, "message": "gone"}}'),
        Manner(usage=None, then="data: {no json"),
        Manner(text="x " * 40, pause_s=0.2),
        Manner(keep_alive_s=5),
    ],
)
async def test_a_call_that_ends_badly_keeps_its_hold(bank: Bank, provider: Provider, manner: Manner) -> None:
    provider.manner = manner
    patience = Patience(first_event_s=0.5, idle_s=0.5)
    reply: Any = await bank.performer(provider, patience).perform(await bank.order(1))
    assert reply.status == "failed"
    assert await settled_at(bank) == (0, bank.facts("granted")[0].microusd)
    assert bank.facts("void") == []


async def test_a_call_that_failed_with_a_bill_is_booked_at_it(bank: Bank, provider: Provider) -> None:
    provider.manner = Manner(finish=None)
    reply: Any = await bank.performer(provider).perform(await bank.order(1))
    assert reply.error == "cut_short"
    assert await settled_at(bank) == (90_000, 0)


async def test_a_bill_above_the_hold_is_booked_in_full(bank: Bank, provider: Provider) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 9_000_000, "cost": 0.7}
    provider.manner = Manner(usage=usage)
    await bank.performer(provider).perform(await bank.order(1))
    await until(lambda: bank.facts("frozen"))
    assert await bank.posted() == 700_000
    assert bank.facts("frozen")[0].reason == "overrun"
    reply: Any = await bank.performer(provider).perform(await bank.order(2))
    assert (reply.status, reply.refusal.scope) == ("refused", "overrun")


async def test_a_cancelled_call_lets_go_of_the_stream_and_keeps_its_hold(
    bank: Bank, provider: Provider
) -> None:
    provider.manner = Manner(text="x " * 200, pause_s=0.05)
    work = asyncio.create_task(bank.performer(provider, timeout_s=9.0).perform(await bank.order(1)))
    await until(lambda: provider.calls)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await until(lambda: provider.aborted)
    assert await settled_at(bank) == (0, bank.facts("granted")[0].microusd)


async def test_a_call_cancelled_while_it_waits_for_money_leaves_the_queue(
    bank: Bank, provider: Provider
) -> None:
    purse = Purse(MODEL, 1, TABLE, bank.server.connect(), secrets.token_hex(8))
    first = asyncio.Event()

    async def slow(grant: Any) -> tuple[str, Bill]:
        await first.wait()
        return "", Bill(1, 1, 1)

    holder = asyncio.create_task(purse.pay(await bank.order(1), Price(900_000, 900_000, 9.0), slow))
    await until(lambda: bank.facts("sent"))
    waiter = asyncio.create_task(purse.pay(await bank.order(2), Price(900_000, 900_000, 9.0), slow))
    await until(lambda: len(bank.facts("reserve")) == 2)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    first.set()
    await holder
    assert [void.attempt for void in bank.facts("void")] == ["call-2.1"]
    assert await settled_at(bank) == (1, 0)


async def test_no_call_outlives_its_hold(bank: Bank, provider: Provider) -> None:
    provider.manner = Manner(text="x " * 200, pause_s=0.1)
    reply: Any = await bank.performer(provider, timeout_s=0.6).perform(await bank.order(1))
    assert reply.error == "timeout"
    assert bank.carrier.now_ns() < bank.facts("granted")[0].expires_ns


# -- no call at all ---------------------------------------------------------------------------------------


async def test_without_a_guard_there_is_no_call(bank: Bank, provider: Provider) -> None:
    bank.stop.set()
    work = asyncio.create_task(bank.performer(provider).perform(await bank.order(1)))
    await asyncio.sleep(1.0)
    assert provider.calls == []
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"input_picousd_per_token": 0}, "no_price"),
        ({"output_picousd_per_token": 0}, "no_price"),
        ({"stale_from_ns": 1}, "stale_price"),
        ({"base_url": "ftp://x"}, "no_endpoint"),
        ({"key_env": "COO_NOT_SET"}, "no_key"),
        ({"context_tokens": 1_500}, "too_long"),
    ],
)
async def test_without_a_price_an_endpoint_or_a_key_there_is_no_call(
    bank: Bank, provider: Provider, terms: dict[str, Any], error: str
) -> None:
    reply: Any = await bank.performer(provider, **terms).perform(await bank.order(1))
    assert reply.error == error
    assert (provider.calls, bank.facts("reserve")) == ([], [])


@pytest.mark.parametrize("context", [3_000, 4_000, 8_000])
async def test_a_prompt_and_its_answer_fit_what_the_model_takes_in(
    bank: Bank, provider: Provider, context: int
) -> None:
    files = {f"{n}.py": await blobs.put(bank.carrier, "engineer", b"x = 1\n" * 10 * n) for n in range(1, 40)}
    call = msgspec.structs.replace(CALL, files=files, max_output_tokens=1_000)
    await bank.performer(provider, context_tokens=context).perform(await bank.order(1, call))
    (_, asked) = provider.calls[0]
    prompt = sum(len(message["content"].encode()) for message in asked["messages"])
    assert prompt // 3 + asked["max_tokens"] <= context
    assert prompt // 3 > context - 1_000 - 1_500, "it shows what there is room for"


async def test_a_model_that_nobody_knows_is_not_called(bank: Bank, provider: Provider) -> None:
    call = msgspec.structs.replace(CALL, model="other")
    reply: Any = await bank.performer(provider).perform(await bank.order(1, call))
    assert reply.error == "unknown_model"
    assert bank.facts("reserve") == []


async def test_a_clock_put_back_gives_no_right_that_the_guard_does_not_know_of(
    bank: Bank, provider: Provider
) -> None:
    purse = Purse(MODEL, 1, TABLE, bank.server.connect(), secrets.token_hex(8))
    order, called = await bank.order(1), []

    async def ask(grant: Any) -> tuple[str, Bill]:
        called.append(grant.attempt)
        return "", Bill(1, 1, 1)

    await purse._reserve(order, 1, Price(100, 100, 5.0))
    await until(lambda: bank.facts("granted"))
    bank.clock_ns[0] += 3600 * 10**9
    await bank.say("clock", "budget", m.Tick(name="expiry", at_ns=0), "tick", "company")
    bank.clock_ns[0] = 0
    await purse.pay(order, Price(100, 100, 5.0), ask)
    assert called == ["call-1.2"]
    await bank.books()


async def test_a_short_grant_asks_for_fewer_tokens(bank: Bank, provider: Provider) -> None:
    performer = bank.performer(provider, max_output_tokens=20_000, min_output_tokens=500)
    call = msgspec.structs.replace(CALL, max_output_tokens=20_000)
    await performer.perform(await bank.order(1, call))
    held = bank.facts("granted")[0].microusd
    assert held == 1_000_000
    assert provider.calls[0][1]["max_tokens"] < held // 100 < 20_000


async def test_an_answer_that_ended_where_the_money_did_is_paid_for_and_asked_for_again_in_full(
    bank: Bank, provider: Provider
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 9_000, "cost": 0.9}
    provider.manner = Manner(finish="length", usage=usage)
    performer = bank.performer(provider, max_output_tokens=20_000, min_output_tokens=500)
    call = msgspec.structs.replace(CALL, max_output_tokens=20_000)
    reply: Any = await performer.perform(await bank.order(1, call))
    assert (reply.status, reply.files, reply.refusal.scope) == ("refused", {}, "mission")
    assert reply.refusal.remaining_microusd == 1_000_000 < reply.refusal.needed_microusd
    assert await settled_at(bank) == (900_000, 0)
    again = msgspec.structs.replace(await bank.order(2, call), retry_of="call-1")
    reply = await performer.perform(again)
    assert (reply.status, len(provider.calls)) == ("refused", 1)


# -- crashes ----------------------------------------------------------------------------------------------


async def test_a_process_that_dies_between_the_answer_and_the_booking_pays_the_worst_case_once(
    bank: Bank, provider: Provider
) -> None:
    performer = bank.performer(provider, timeout_s=0.2)
    order = await bank.order(1)
    provider.on_billed = performer._carrier.kill
    with pytest.raises(asyncio.CancelledError):
        await performer.perform(order)
    provider.on_billed = lambda: None
    await asyncio.sleep(3.3)
    await bank.performer(provider, timeout_s=0.2).perform(order)
    held = bank.facts("granted")[0].microusd
    assert await bank.posted() == held + 90_000
    assert provider.meter_micro == 180_000


# -- helpers ----------------------------------------------------------------------------------------------


async def settled_at(bank: Bank) -> tuple[int, int]:
    """Return posted and pending of the mission once the guard has had everything."""
    await asyncio.sleep(0.05)
    account = (await bank.books()).accounts["mission:m-1"]
    return account.posted, account.pending


def _in_doubt(bank: Bank) -> bool:
    return bank.facts("tick") != []


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
