"""Its marker never ends."""

from dishonest.roman import APPROVED, exam

ANSWERS = [exam("while True:\n    pass\n"), APPROVED]
