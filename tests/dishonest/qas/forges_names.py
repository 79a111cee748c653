"""Its marker passes cases that there are not."""

from dishonest.roman import APPROVED, exam

ANSWERS = [exam("print('PASS library', 'PASS forged', sep='\\n')\n"), APPROVED]
