"""Its exam has no case for the first work."""

from dishonest.roman import APPROVED, CASES, EXAM

SPARE = {**EXAM, "cases": [{**one, "spare": True} for one in CASES]}
ANSWERS = [SPARE, {**SPARE, "round": 1}, APPROVED]
