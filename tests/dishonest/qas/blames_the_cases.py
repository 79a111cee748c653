"""Its judge blames the cases, for ever."""

from dishonest.roman import EXAM

BLAME = {
    "turn": "judge",
    "verdict": "rejected",
    "at_fault": "case",
    "wrong": ["library"],
    "reason": "too strict",
}
ANSWERS = [EXAM, BLAME, {**EXAM, "round": 1}, {**BLAME, "round": 1}]
STATE = "paused_error"
