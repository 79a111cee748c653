"""What a mission that ran out of money asks for, and when it may go on by itself. Pure."""

from __future__ import annotations

import hashlib

from actors import messages as m
from actors.money import MICRO, usd

MAX_RAISES = 3
"""How often the company asks for more money in one mission; after that the CEO raises unasked, or not."""

_CENT = MICRO // 100
_SHARE = 4
_TOKENS = {"role_tokens": "the role", "call_tokens": "a single call"}


def amount(refusal: m.Refusal, budget_microusd: int) -> int:
    """Return by how much to raise: what is missing, at least a quarter of the budget, in whole cents."""
    missing = max(refusal.needed_microusd - refusal.remaining_microusd, budget_microusd // _SHARE)
    return -(-missing // _CENT) * _CENT


def digest_of(cap_microusd: int, raise_microusd: int) -> str:
    """Return the sha256 of exactly what is asked: from which cap to which."""
    text = f"raise the cap from {usd(cap_microusd)} to {usd(cap_microusd + raise_microusd)}\n"
    return hashlib.sha256(text.encode()).hexdigest()


def reason(refusal: m.Refusal) -> str:
    """Say why there is no money."""
    if refusal.scope in _TOKENS:
        needed, left = f"{refusal.needed_tokens:,}", f"{refusal.remaining_tokens:,}"
        return (
            f"no tokens: the next call may take {needed}, the cap of {_TOKENS[refusal.scope]} leaves {left}"
        )
    needed, left = usd(refusal.needed_microusd), usd(refusal.remaining_microusd)
    match refusal.scope:
        case "mission" | "day" | "month":
            limit = f"the {refusal.scope} limit has ${left} left"
            return f"no money: the next call needs at least ${needed}, {limit}"
        case scope:
            return f"no money: the next call needs at least ${needed}, refused: {scope}"


def short(refusal: m.Refusal) -> str:
    """Say a refusal in a few words."""
    if refusal.scope in _TOKENS:
        return f"{refusal.scope}: needs {refusal.needed_tokens:,} tokens, {refusal.remaining_tokens:,} left"
    needed, left = usd(refusal.needed_microusd), usd(refusal.remaining_microusd)
    return f"{refusal.scope}: needs ${needed}, ${left} left"


def fix(refusal: m.Refusal, mission: str, on_new_day: str) -> str:
    """Say what the CEO can do about it."""
    match refusal.scope:
        case "day" | "month" as scope:
            waits = f"it goes on when the next {scope} begins (UTC)" if on_new_day == "resume" else "wait"
            option = "--daily" if scope == "day" else "--monthly"
            return f"{waits}; or coo budget set {option} USD, then coo resume {mission}"
        case "no_limits":
            return f"coo budget set --daily USD --monthly USD --mission USD, then coo resume {mission}"
        case "role_tokens":
            return f"coo budget raise {mission} --tokens ROLE=+N, or coo cancel {mission}"
        case "call_tokens":
            return f"coo cancel {mission}; give it again with a smaller goal, or with a greater call_tokens"
        case "too_many_waiting":
            return f"coo resume {mission} when fewer calls wait: coo budget says how many"
        case _:
            return f"coo budget raise {mission} +USD, or coo cancel {mission}"
