"""Addresses of endpoints: what cannot be called, or holds a secret, is an error of the settings."""

from pathlib import Path

import pytest

from config.endpoints import problem
from config.settings import validate


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:99999/v1", "the host or the port is wrong"),
        ("http:///v1", "say where the endpoint is"),
        (f"http://{'h' * 64}/v1", "the host or the port is wrong"),
        ("http://a..b/v1", "the host or the port is wrong"),
        ("http://host:0/v1", "0 is not a port"),
        ("http://bob:pa55word@host/v1", "does not belong in an address"),
        ("https://host/v1?key=pa55word", "ends with its path"),
        ("ftp://host/v1", "say where the endpoint is"),
        ("http://ho st/v1", "without blanks"),
    ],
)
def test_an_address_that_cannot_be_called_or_holds_a_secret_is_an_error_that_does_not_repeat_it(
    tmp_path: Path, url: str, why: str
) -> None:
    file = tmp_path / "config.yaml"
    terms = f'{{provider: openai, base_url: "{url}", max_output_tokens: 9, context_tokens: 9, timeout_s: 9}}'
    price = 'prices: {providers: {openai: {as_of: null, note: n, models: {m: {input_usd_per_mtok: "1", '
    price += 'output_usd_per_mtok: "1"}}}}}'
    file.write_text(f"models: {{catalog: {{m: {terms}}}}}\n{price}\n")
    (told,) = map(str, validate(file))
    assert why in told
    assert "pa55word" not in told


@pytest.mark.parametrize(
    "url", ["https://host/v1", "http://[::1]:8080/v1", "http://127.0.0.1:1/v1", "https://a.b.c/api/paas/v4"]
)
def test_an_address_that_can_be_called_is_right(url: str) -> None:
    assert problem(url) == ""
