"""Its exam's files stand among the work's."""

from dishonest.roman import APPROVED, EXAM, MARK

OUTSIDE = {**EXAM, "files": {"mark.py": MARK}, "marker": ["python3", "mark.py"]}
ANSWERS = [OUTSIDE, {**OUTSIDE, "round": 1}, APPROVED]
