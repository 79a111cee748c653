"""Usage as providers state it: which reading is taken, what is no bill, and that nothing else is raised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.performers.model.providers.sse import Answer, BadStream, Lines, take
from actors.performers.model.usage import Counted, Reading, doubt, read


def counted(*usages: dict[str, Any], at: int = 100) -> Counted:
    found = Counted()
    for usage in usages:
        found.take(usage, at)
    return found


def usage(prompt: int, completion: int, total: int | None = None, **parts: int) -> dict[str, Any]:
    stated: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    if total is not None:
        stated["total_tokens"] = total
    if "cached" in parts:
        stated["prompt_tokens_details"] = {"cached_tokens": parts["cached"]}
    if "thought" in parts:
        stated["completion_tokens_details"] = {"reasoning_tokens": parts["thought"]}
    return stated


@pytest.mark.parametrize(
    ("stated", "reading"),
    [
        (usage(100, 50, 150), Reading(100, 0, 50)),
        (usage(100, 50, 150, cached=90, thought=40), Reading(100, 90, 50)),
        (usage(100, 50, 190, cached=9, thought=40), Reading(100, 9, 90)),
        (usage(100, 50, 240, thought=90), Reading(100, 0, 140)),
        (usage(10, 50, 150, cached=90), Reading(100, 90, 50)),
        (usage(10, 50, 220, cached=90, thought=70), Reading(100, 90, 120)),
        (usage(100, 50, 170), Reading(100, 0, 70)),
        (usage(100, 50), Reading(100, 0, 50)),
        (usage(100, 50, thought=40), Reading(100, 0, 90)),
        (usage(100, 50, cached=40), Reading(140, 40, 50)),
    ],
)
def test_the_total_says_which_parts_stand_beside_their_whole(
    stated: dict[str, Any], reading: Reading
) -> None:
    assert read(counted(stated)) == reading
    assert doubt(counted(stated), reading, prompt_bytes=400, size_bytes=100, most=1_000) == ""


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        (usage(0, 0, 0), "no tokens"),
        (usage(100, 0, 100), "no tokens"),
        (usage(0, 50, 50), "no tokens"),
        (usage(100, 1, 101), "1 tokens are counted for 100 bytes of answer"),
        (usage(3, 50, 53), "3 tokens are counted for 400 bytes of prompt"),
        (usage(100, 50, 150, thought=60), "above their whole"),
        (usage(100, 50, 150, cached=101), "above their whole"),
        (usage(100, 50, thought=60), "above their whole"),
        (usage(100, 50, 149), "below its parts"),
        (usage(90_000_000, 50), "90000000 tokens"),
        (usage(100, 90_000_000), "90000000 tokens"),
        ({**usage(100, 50), "prompt_tokens": "100"}, "prompt_tokens is not"),
        ({**usage(100, 50), "completion_tokens": -1}, "completion_tokens is not"),
        ({**usage(100, 50, 150), "cost": "0.1"}, "cost is not"),
    ],
)
def test_what_cannot_be_the_bill_is_doubted(stated: dict[str, Any], why: str) -> None:
    found = counted(stated)
    assert why in doubt(found, read(found), prompt_bytes=400, size_bytes=100, most=1_000)


def test_usage_from_before_the_last_content_is_doubted_and_halves_are_one() -> None:
    first = counted(usage(100, 1), at=0)
    assert "before the last content" in doubt(
        first, read(first), prompt_bytes=400, size_bytes=100, most=1_000
    )
    halves = counted({"prompt_tokens": 100}, at=0)
    halves.take({"completion_tokens": 50}, 100)
    halves.take({}, 100)
    assert read(halves) == Reading(100, 0, 50)
    assert doubt(halves, read(halves), prompt_bytes=400, size_bytes=100, most=1_000) == ""


def test_a_total_of_an_earlier_event_says_nothing_of_a_later_one() -> None:
    found = counted(usage(100, 40, 140, thought=30), usage(100, 50, thought=30))
    assert read(found) == Reading(100, 0, 80)


def test_a_stated_cost_counts_only_where_it_stands_behind_the_last_content() -> None:
    early = counted({**usage(100, 50), "cost": 1}, at=0)
    assert early.microusd == 10**6
    assert doubt(early, read(early), prompt_bytes=400, size_bytes=100, most=1_000)
    late = counted({**usage(100, 50), "cost": 1})
    assert doubt(late, read(late), prompt_bytes=400, size_bytes=100, most=1_000) == ""


counts = st.integers(0, 3_000)
parts = st.integers(0, 3_000)


@settings(max_examples=300)
@given(counts, counts, parts, parts, st.booleans(), st.booleans(), st.booleans())
def test_what_is_read_is_at_least_what_the_provider_counts_or_it_is_doubted(
    prompt: int, completion: int, cached: int, thought: int, beside: bool, aside: bool, total: bool
) -> None:
    """The truth is `prompt` and `completion` as a whole; the parts stand inside or beside the figure."""
    cached, thought = min(cached, prompt), min(thought, completion)
    stated = usage(
        prompt - cached * beside,
        completion - thought * aside,
        prompt + completion if total else None,
        cached=cached,
        thought=thought,
    )
    found = counted(stated)
    reading = read(found)
    told = doubt(found, reading, prompt_bytes=400, size_bytes=100, most=3_000)
    for price_in, price_hit, price_out in ((10, 1, 40), (10, 10, 10)):
        metered = (prompt - cached) * price_in + cached * price_hit + completion * price_out
        booked = (
            (reading.input_tokens - reading.cached_tokens) * price_in
            + reading.cached_tokens * price_hit
            + reading.output_tokens * price_out
        )
        assert booked >= metered or told


NAMES = st.sampled_from(
    [
        "choices",
        "delta",
        "content",
        "usage",
        "error",
        "finish_reason",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "cost",
        "total_cost",
        "is_byok",
        "cost_details",
        "upstream_inference_cost",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.lists(st.dictionaries(NAMES, values, max_size=5), max_size=4))
def test_any_events_give_an_answer_or_one_named_error(events: list[dict[str, Any]]) -> None:
    answer = Answer(100)
    try:
        for event in events:
            take(json.dumps(event), answer)
    except BadStream:
        return
    reading = read(answer.counted)
    doubt(answer.counted, reading, prompt_bytes=9, size_bytes=answer.size_bytes, most=9)
    assert min(reading[:3]) >= 0
    answer.text.encode("utf-8", "surrogatepass")


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=60) | st.just(b'data: {"choices": [['), max_size=6))
def test_any_bytes_give_events_or_one_named_error(chunks: list[bytes]) -> None:
    lines, answer = Lines(), Answer(100)
    try:
        for chunk in chunks:
            for data in lines.feed(chunk):
                take(data, answer)
        for data in lines.end():
            take(data, answer)
    except BadStream:
        pass
