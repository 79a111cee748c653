"""Its case puts a right program under a name that differs in case alone."""

from dishonest.roman import APPROVED, EXAM, RIGHT, case

FILES = {**EXAM["files"], "qa_exam/right.py": RIGHT}
REPAIRED = {
    **EXAM,
    "files": FILES,
    "cases": [case("year", "ROMAN.py", "1990", inputs={"ROMAN.py": "qa_exam/right.py"})],
}
ANSWERS = [REPAIRED, {**REPAIRED, "round": 1}, APPROVED]
