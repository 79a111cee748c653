"""Its marker crashes after saying that all is well."""

from dishonest.roman import APPROVED, CASES, exam

NAMES = [one["name"] for one in CASES if not one.get("spare")]
ANSWERS = [exam(f"for name in {NAMES}:\n    print('PASS', name)\nraise SystemExit(1)\n"), APPROVED]
