"""Its marker writes without end."""

from dishonest.roman import APPROVED, exam

ANSWERS = [exam("while True:\n    print('PASS library ' * 1000)\n"), APPROVED]
