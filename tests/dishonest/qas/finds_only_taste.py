"""Its judge rejects right work for its taste, for ever."""

from dishonest.roman import EXAM, RIGHT

PROGRAM = RIGHT
TASTE = {"problem": "I should have called it numeral()", "taste": True}
ANSWERS = [EXAM, {"turn": "judge", "verdict": "rejected", "findings": [TASTE]}]
STATE = "paused_error"
