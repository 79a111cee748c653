"""Its judge approves whatever the exam shows."""

from dishonest.roman import APPROVED, EXAM

ANSWERS = [EXAM, APPROVED, {**APPROVED, "round": 1}, {**APPROVED, "rework": 1}]
