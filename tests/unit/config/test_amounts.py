from decimal import Decimal

import pytest

from config.amounts import NotAnAmount, amount_text, microusd, picousd_per_token


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("20.00", 20_000_000),
        ("0", 0),
        ("0.000001", 1),
        ("0.1", 100_000),
        ("999999999.999999", 999_999_999_999_999),
        ("1000000000", 10**15),
        ("2.0000000", 2_000_000),
        ("  2 ", 2_000_000),
        ("007", 7_000_000),
    ],
)
def test_an_amount_becomes_exact_micro_dollars(text: str, micro: int) -> None:
    assert microusd(text) == micro


@pytest.mark.parametrize(
    ("text", "pico"), [("1", 1_000_000), ("0.30", 300_000), ("0.003625", 3625), ("4.40", 4_400_000)]
)
def test_a_price_per_million_tokens_becomes_pico_dollars_per_token(text: str, pico: int) -> None:
    assert picousd_per_token(text) == pico


def test_whole_numbers_and_exact_decimals_keep_the_text_they_had() -> None:
    assert [amount_text(value) for value in (20, Decimal("20.50"), "0.5")] == ["20", "20.50", "0.5"]


@pytest.mark.parametrize(
    "value",
    [
        *(
            "2,00",
            "-1",
            "+1",
            "NaN",
            "inf",
            "1e3",
            "",
            " ",
            "1.",
            ".5",
            "1.0000001",
            "1" * 13,
            "1000000000.000001",
            "٣",
            "1_0",
        ),
        *(Decimal("NaN"), Decimal("-1"), Decimal("1E+3"), -1, True, None, [], 0.5, float("nan")),
    ],
)
def test_what_is_not_a_plain_amount_is_refused(value: object) -> None:
    with pytest.raises(NotAnAmount):
        amount_text(value)


def test_the_refusal_says_how_to_write_it() -> None:
    with pytest.raises(ValueError) as caught:
        microusd("2,00")

    assert str(caught.value) == "2,00 is not an amount. Write 2.00 (US dollars, at most 6 decimals)."
