"""Its case puts a right program in the place of the wrong one."""

from dishonest.roman import APPROVED, EXAM, RIGHT, case

FILES = {**EXAM["files"], "qa_exam/right.py": RIGHT}
REPAIRED = {
    **EXAM,
    "files": FILES,
    "cases": [case("year", "roman.py", "1990", inputs={"roman.py": "qa_exam/right.py"})],
}
ANSWERS = [REPAIRED, {**REPAIRED, "round": 1}, APPROVED]
