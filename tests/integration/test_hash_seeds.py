"""A fold is the same in every process, whatever order its sets and dicts have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

UNIT = Path(__file__).parents[1] / "unit"


def test_the_same_mail_folded_under_two_hash_seeds_gives_byte_equal_letters() -> None:
    def folded(seed: str) -> bytes:
        code = "import sys, test_roles; sys.stdout.buffer.write(test_roles.letters_of_a_walk())"
        path = os.pathsep.join([str(UNIT), str(UNIT.parent / "support"), str(UNIT.parents[1])])
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": path,
                "PATH": os.environ["PATH"],
            },
        )
        return done.stdout

    first = folded("1")
    assert len(first) > 10_000
    assert folded("2") == first == folded("12345")
