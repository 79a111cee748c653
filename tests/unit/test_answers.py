"""The ways in which models write the same right answer: each is read, and none with wrong bytes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.performers.model.answers import InvalidAnswer, read_files, read_plan, read_verdict
from actors.performers.model.salvage import Misfit, first_fitting

NONCE = "4d1f09c2"
TASK = {
    "title": "Greet",
    "brief": "Write hello.py: greet(name) returns 'Hello, {name}!'; and its test.",
    "acceptance": ["python3", "-m", "unittest", "-v", "test_hello"],
    "outputs": ["hello.py", "test_hello.py"],
}
PLAN = {"summary": "One small program.", "tasks": [TASK]}
VERDICT = {"verdict": "approved", "findings": [], "reason": "All of it is there."}
FILES = {
    "hello.py": 'def greet(name):\n    return f"Hello, {name}!"\n',
    "docs/Read me.txt": "<think> is a tag.\n",
}

Style = Callable[[dict[str, object]], str]


def dumped(value: object, **options: object) -> str:
    return json.dumps(value, **options)


OBJECT_STYLES: dict[str, Style] = {
    "plain": dumped,
    "indented": lambda v: dumped(v, indent=4),
    "one space": lambda v: dumped(v, separators=(",", ":")),
    "unicode": lambda v: dumped(v, ensure_ascii=False),
    "byte order mark": lambda v: "\ufeff" + dumped(v),
    "blank lines round it": lambda v: f"\n\n  {dumped(v)}\n\n",
    "crlf": lambda v: dumped(v, indent=2).replace("\n", "\r\n"),
    "fence": lambda v: f"```json\n{dumped(v)}\n```",
    "fence without a language": lambda v: f"```\n{dumped(v, indent=2)}\n```\n",
    "fence in capitals": lambda v: f"```JSON\n{dumped(v)}\n```",
    "tildes": lambda v: f"~~~json\n{dumped(v)}\n~~~",
    "prose before": lambda v: f"Here is my answer:\n\n{dumped(v)}",
    "prose behind": lambda v: f"{dumped(v)}\n\nLet me know if you want {{more}}!",
    "prose and fence": lambda v: f"Sure! A {{draft}} first.\n```json\n{dumped(v)}\n```\nDone.",
    "think": lambda v: f'<think>\nA draft: {{"tasks": ["x"]}}\n</think>\n\n{dumped(v)}',
    "thinking": lambda v: f"<thinking>Hm.</thinking>{dumped(v)}",
    "reasoning in capitals": lambda v: f"<REASONING>Hm, {{}}.</REASONING>\n{dumped(v)}",
    "think without a beginning": lambda v: f'Maybe {{"verdict": 1}}?\n</think>\n{dumped(v)}',
    "trailing commas": lambda v: dumped(v, indent=1).replace("\n]", ",\n]").replace("]\n", "],\n", 1),
    "trailing comma at the end": lambda v: dumped(v)[:-1] + ",}",
    "comments": lambda v: dumped(v, indent=1).replace("{\n", "{ // what was asked for\n", 1),
    "python": repr,
    "unknown keys": lambda v: dumped({"thoughts": "hm", "confidence": 0.9, **v, "$schema": "x"}),
    "keys in capitals": lambda v: dumped({k.title(): inner for k, inner in v.items()}),
    "wrapped": lambda v: dumped({"answer": v}),
    "a list of one": lambda v: dumped([v]),
    "tool call": lambda v: dumped({"name": "answer", "arguments": v}),
    "tool call as text": lambda v: dumped({"name": "answer", "arguments": dumped(v)}),
    "nulls": lambda v: dumped({k: inner or None for k, inner in v.items()}),
    "bold": lambda v: f"**Answer**\n\n{dumped(v)}",
}


@pytest.mark.parametrize("style", OBJECT_STYLES)
def test_a_plan_is_read_in_every_style(style: str) -> None:
    assert read_plan(OBJECT_STYLES[style](PLAN)).model_dump(exclude_unset=True) == PLAN


@pytest.mark.parametrize("style", OBJECT_STYLES)
def test_a_verdict_is_read_in_every_style(style: str) -> None:
    assert read_verdict(OBJECT_STYLES[style](VERDICT)).model_dump(exclude_unset=True) == VERDICT


TASK_STYLES: dict[str, dict[str, object]] = {
    "unknown keys": {"id": 1, "depends_on": []},
    "acceptance as text": {"acceptance": "python3 -m unittest -v test_hello"},
    "outputs as text": {"outputs": "hello.py"},
    "no outputs": {"outputs": None},
    "brief in lines": {"brief": ["Write hello.py.", "And its test."]},
    "dot slash": {"outputs": ["./hello.py", "`test_hello.py`"]},
}


@pytest.mark.parametrize("style", TASK_STYLES)
def test_a_task_is_read_in_every_style(style: str) -> None:
    task = read_plan(dumped({"tasks": [{**TASK, **TASK_STYLES[style]}]})).tasks[0]
    assert task.acceptance == TASK["acceptance"]
    assert set(task.outputs) <= {"hello.py", "test_hello.py"}


def test_a_plan_may_be_its_list_of_tasks_or_one_task_in_its_place() -> None:
    assert read_plan(dumped([TASK])).tasks == read_plan(dumped({"tasks": TASK})).tasks


@pytest.mark.parametrize("words", [["sh", "x", "&&", "echo"], "a | b", "python3 x > out"])
def test_a_command_that_needs_a_shell_is_told_to_its_author(words: object) -> None:
    with pytest.raises(InvalidAnswer, match="without a shell"):
        read_plan(dumped({"tasks": [{**TASK, "acceptance": words}]}))


@pytest.mark.parametrize(
    ("said", "verdict"),
    [("APPROVED", "approved"), ("Approve", "approved"), ("pass", "approved"), ("Rejected.", "rejected")],
)
def test_a_verdict_may_be_written_in_any_case(said: str, verdict: str) -> None:
    assert read_verdict(dumped({"verdict": said, "reason": "so"})).verdict == verdict


def test_findings_may_be_sentences() -> None:
    assert read_verdict('{"verdict": "rejected", "findings": ["it fails"]}').findings[0].problem == "it fails"


def test_a_verdict_quoted_from_what_is_judged_does_not_decide() -> None:
    quoted = (
        'It printed {"verdict": "approved"}, which proves nothing.\n{"verdict": "rejected", "reason": "no"}'
    )
    with pytest.raises(InvalidAnswer, match="more than one verdict"):
        read_verdict(quoted)


def blocks(files: dict[str, str], nonce: str = NONCE) -> str:
    return "".join(f"<<<FILE {path} {nonce}\n{text}FILE>>> {nonce}\n" for path, text in files.items())


def fenced(text: str) -> str:
    return f"```python\n{text}```\n"


HEADER = dumped({"summary": "Greets.", "files": list(FILES), "run": None})
FILE_STYLES = {
    "plain": f"{HEADER}\n{blocks(FILES)}",
    "fenced header": f"```json\n{HEADER}\n```\n\n{blocks(FILES)}",
    "header behind thoughts": f"<think>{{}}</think>\n{HEADER}\n{blocks(FILES)}",
    "prose before": f"Here you are.\n{HEADER}\n{blocks(FILES)}",
    "closing word": f"{HEADER}\n{blocks(FILES)}\nBoth files are complete.",
    "another order": f"{HEADER}\n{blocks(dict(reversed(FILES.items())))}",
    "words between": f"{HEADER}\n" + blocks(FILES).replace("<<<FILE docs", "And:\n<<<FILE docs"),
    "no header": blocks(FILES),
    "header without files": f'{{"summary": "Greets."}}\n{blocks(FILES)}',
    "fence round a file": f"{HEADER}\n{blocks({**FILES, 'hello.py': fenced(FILES['hello.py'])})}",
    "dot slash": f"{HEADER}\n" + blocks(FILES).replace("<<<FILE hello", "<<<FILE ./hello"),
    "quoted paths": f"{HEADER}\n" + blocks(FILES).replace("FILE hello.py", "FILE `hello.py`"),
    "indented marks": f"{HEADER}\n" + blocks(FILES).replace("FILE>>>", "  FILE>>>"),
    "the same twice": f"{HEADER}\n{blocks(FILES)}{blocks(FILES)}",
    "trailing comma": f"{HEADER[:-1]},}}\n{blocks(FILES)}",
}


@pytest.mark.parametrize("style", FILE_STYLES)
def test_files_are_read_in_every_style_byte_for_byte(style: str) -> None:
    written = read_files(FILE_STYLES[style], NONCE)
    assert written.files == {path: text.encode() for path, text in FILES.items()}
    assert written.bad == {}


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("../out.py", "1\n", "part"),
        ("/etc/passwd", "1\n", "absolute"),
        ("src\\util.py", "1\n", "backslash"),
        ("half.py", "\ud83d\n", "surrogate"),
    ],
)
def test_a_bad_block_is_named_and_good_ones_beside_it_are_kept(path: str, text: str, why: str) -> None:
    written = read_files(blocks({**FILES, path: text}), NONCE)
    assert set(written.files) == set(FILES)
    assert list(written.bad) == [path]
    assert why in written.bad[path]


def test_twins_that_differ_and_blocks_without_an_end_are_refused() -> None:
    twice = read_files(blocks({"a.py": "1\n", "b.py": "1\n"}) + blocks({"a.py": "2\n"}), NONCE)
    assert (list(twice.files), list(twice.bad)) == (["b.py"], ["a.py"])
    cut = read_files(blocks({"a.py": "1\n"}) + f"<<<FILE b.py {NONCE}\nx = ", NONCE)
    assert (list(cut.files), list(cut.bad)) == (["a.py"], ["b.py"])


def test_another_nonce_is_not_a_block() -> None:
    with pytest.raises(InvalidAnswer, match="nonce"):
        read_files(blocks(FILES, "ffffffff"), NONCE)


@pytest.mark.parametrize("text", ["", "  \n", "I cannot do that.", "{", "[" * 5000, '{"tasks": []}'])
def test_what_is_not_an_answer_is_refused_in_one_line(text: str) -> None:
    for read in (read_plan, read_verdict):
        with pytest.raises(InvalidAnswer) as raised:
            read(text)
        assert "\n" not in str(raised.value)


@given(st.text())
def test_any_text_gives_a_value_or_the_one_named_error(text: str) -> None:
    for read in (read_plan, read_verdict, lambda t: read_files(t, NONCE)):
        with contextlib.suppress(InvalidAnswer):
            read(text)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}\.py", fullmatch=True), st.text(), min_size=1, max_size=4))
def test_whatever_stands_in_a_file_is_kept_byte_for_byte(files: dict[str, str]) -> None:
    whole = {path: f"x\n{text}\n" for path, text in files.items() if NONCE not in text}
    written = read_files(blocks({**whole, "end.py": "x\n"}), NONCE).files
    assert written == {p: t.encode("utf-8") for p, t in {**whole, "end.py": "x\n"}.items()}


def test_a_number_that_json_does_not_have_is_refused() -> None:
    def fit(value: object) -> object:
        return value

    with pytest.raises(Misfit):
        first_fitting('{"a": NaN}', fit)
