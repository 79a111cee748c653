"""Its marker is silent about a case."""

from dishonest.roman import APPROVED, MARK, exam

ANSWERS = [exam(MARK.replace("    print(f", '    name == "year" or print(f')), APPROVED]
