"""Its judge approves and finds fault at once."""

from dishonest.roman import APPROVED, EXAM

WITH_FINDINGS = {**APPROVED, "findings": [{"problem": "90 is wrong"}]}
ANSWERS = [EXAM, WITH_FINDINGS, {**WITH_FINDINGS, "round": 1}]
