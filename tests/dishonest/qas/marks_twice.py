"""Its marker says something of a case twice."""

from dishonest.roman import APPROVED, MARK, exam

ANSWERS = [exam(MARK + "print('PASS year')\n"), APPROVED]
