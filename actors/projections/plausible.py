"""Whether a bill in the log can be what was sent and received, judged by the log alone."""

from __future__ import annotations

from actors import messages as m

_BYTES_PER_TOKEN = 32
_SPARE_BYTES = 64
_FAR = 10


def implausible(bill: m.Settle, held_tokens: int) -> str:
    """Say why a bill cannot be what was sent and received; nothing if it can.

    `held_tokens` is the most that prompt and answer may have, 0 if that is not known.
    """
    if bill.doubt:
        return f"{bill.doubt}; booked at its hold, in doubt"
    took = max(0, bill.input_tokens) + max(0, bill.output_tokens)
    if held_tokens and took > _FAR * held_tokens:
        return f"{took} tokens were billed, {held_tokens} were held"
    size = bill.answer.size if bill.answer else 0
    if size > _BYTES_PER_TOKEN * max(0, bill.output_tokens) + _SPARE_BYTES or (
        size and bill.input_tokens <= 0
    ):
        return f"{bill.input_tokens} and {bill.output_tokens} tokens were billed for {size} bytes of answer"
    return ""
