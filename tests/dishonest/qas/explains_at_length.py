"""Its marker says more than anybody reads."""

from dishonest.roman import APPROVED, MARK, exam

ANSWERS = [exam(MARK + "print('#' * 5000)\n"), APPROVED]
