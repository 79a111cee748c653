"""What a server's answer to a publish means, for any code it may send."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.errors import BadAddress, NotPermitted, Occupied, PublishRefused, StoreRefused, Unknown
from bus.jetstream.address import check_address
from bus.jetstream.codes import refusal

CALM = settings(suppress_health_check=[HealthCheck.too_slow])
"""A slow machine is not a failure."""

CLASSES = (Unknown, StoreRefused, Occupied, NotPermitted, PublishRefused)


@pytest.mark.parametrize(
    ("status", "code", "description", "meaning"),
    [  # as nats-server 2.15.1 answered
        (503, 10023, "insufficient resources", StoreRefused),
        (500, 10047, "insufficient storage resources available", StoreRefused),
        (503, 10077, "maximum bytes exceeded", StoreRefused),
        (503, 10077, "maximum messages exceeded", StoreRefused),
        (503, 10077, "no space left on device", StoreRefused),
        (503, 10077, "maximum messages per subject exceeded", Occupied),
        (400, 10054, "message size exceeds maximum allowed", PublishRefused),
        (400, 10060, "expected stream does not match", PublishRefused),
        (400, 10071, "wrong last sequence: 11", PublishRefused),
        (400, 10109, "invalid operation on sealed stream", PublishRefused),
        (503, 10008, "JetStream system temporarily unavailable", Unknown),
        (503, 10009, "JetStream not leader", Unknown),
        (409, 10158, "duplicate message id is in process", Unknown),
        (429, 10167, "too many requests", Unknown),
        (500, 0, "something new", Unknown),
    ],
)
def test_each_code_means_one_thing(status: int, code: int, description: str, meaning: type) -> None:
    error = refusal("ceo", "coo.m.x", {"code": status, "err_code": code, "description": description})
    assert type(error) is meaning


ANYTHING = st.none() | st.integers() | st.text() | st.floats() | st.booleans() | st.lists(st.integers())


@CALM
@given(st.dictionaries(st.sampled_from(["code", "err_code", "description", "x"]), ANYTHING))
def test_any_answer_is_one_of_five_things(answer: dict[str, Any]) -> None:
    assert type(refusal("ceo", "coo.m.x", answer)) in CLASSES


@CALM
@given(st.integers(400, 499), st.integers(1, 99_999))
def test_what_the_server_calls_our_fault_is_never_repeated_for_ever(status: int, code: int) -> None:
    error = refusal("ceo", "coo.m.x", {"code": status, "err_code": code})
    again = status in (408, 429) or code in (10008, 10009, 10158, 10167)
    assert isinstance(error, Unknown) == (again and not isinstance(error, StoreRefused | NotPermitted))


@pytest.mark.parametrize(
    "url",
    [
        "nats://127.0.0.1:99999",
        "nats://h:abc",
        "nats://",
        "nats://[::1",
        "tls://1:2:3",
        "nats://h:0",
        ":4222",
    ],
)
def test_what_is_not_the_address_of_a_server_is_said_before_it_is_asked(url: str) -> None:
    with pytest.raises(BadAddress, match="is not the address of a NATS server"):
        check_address(url)


@pytest.mark.parametrize(
    "url", ["nats://127.0.0.1:4222", "h", "h:4222", "tls://u:p@h", "nats://[::1]:1", "ws://h:80"]
)
def test_an_address_of_a_server_is_taken(url: str) -> None:
    check_address(url)


@CALM
@given(st.text())
def test_any_text_is_an_address_or_refused(url: str) -> None:
    with suppress(BadAddress):
        check_address(url)
