"""What a run answers, the same on every backend."""

import asyncio
import hashlib
import time

import pytest

from sandbox import Backend, File, Order, RunUnderWay, Skipped


def python(code: str, **order: object) -> Order:
    return Order(**({"id": "test-run", "argv": ("python", "-c", code)} | order))


async def test_a_program_that_ends_well_is_ok(backend: Backend) -> None:
    outcome = await backend.run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert (outcome.status, outcome.exit_code, outcome.reason) == ("ok", 0, "")
    assert (outcome.stdout.head, outcome.stderr.head) == ("out\n", "err\n")
    assert outcome.backend == backend.name
    assert outcome.image_id
    assert outcome.wall_ms > 0
    assert outcome.cpu_ms is None or outcome.cpu_ms > 0


async def test_a_program_that_fails_is_failed_with_its_exit_code(backend: Backend) -> None:
    outcome = await backend.run(python("raise SystemExit(3)"))
    assert (outcome.status, outcome.exit_code, outcome.reason) == ("failed", 3, "exit code 3")


async def test_a_program_that_is_not_there_is_failed_as_a_shell_would_say(backend: Backend) -> None:
    outcome = await backend.run(Order(id="test-run", argv=("no-such-program",)))
    assert (outcome.status, outcome.exit_code, outcome.stdout.head) == ("failed", 127, "")
    assert "no-such-program: not found" in outcome.stderr.head


async def test_a_program_that_crashes_names_its_signal(backend: Backend) -> None:
    outcome = await backend.run(python("import os; os.kill(os.getpid(), 11)"))
    assert (outcome.status, outcome.exit_code, outcome.reason) == ("failed", 139, "ended by SIGSEGV")


async def test_a_program_that_ignores_sigterm_ends_within_a_second_of_its_deadline(backend: Backend) -> None:
    code = (
        "import signal, time\n"
        "for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1)"
    )
    started = time.monotonic()
    outcome = await backend.run(python(code, timeout_s=2.0))
    assert (outcome.status, outcome.exit_code, outcome.limits_hit) == ("timeout", None, ("timeout_s",))
    assert outcome.stdout.head == "up\n"
    assert 2000 <= outcome.wall_ms < 3000
    assert time.monotonic() - started < 6


async def test_a_program_that_eats_memory_is_out_of_memory(backend: Backend) -> None:
    code = "rows = []\nwhile True: rows.append(bytearray(4_000_000))"
    outcome = await backend.run(python(code, timeout_s=30.0))
    assert (outcome.status, outcome.limits_hit) == ("out_of_memory", ("memory_bytes",))


async def test_a_flood_of_output_ends_the_run(backend: Backend) -> None:
    outcome = await backend.run(Order(id="test-run", argv=("yes",), timeout_s=30.0))
    assert (outcome.status, outcome.limits_hit) == ("output_limit", ("flood_bytes", "output_bytes"))
    assert len(outcome.stdout.head) == len(outcome.stdout.tail) == 500


async def test_a_flood_that_ends_by_itself_is_one_all_the_same(backend: Backend) -> None:
    outcome = await backend.run(python("print('x' * 6_000_000)"))
    assert outcome.status == "output_limit"


async def test_more_output_than_is_kept_loses_its_middle(backend: Backend) -> None:
    outcome = await backend.run(python("print('a' * 600 + 'b' * 600, end='')"))
    assert (outcome.status, outcome.limits_hit) == ("ok", ("output_bytes",))
    assert (outcome.stdout.head, outcome.stdout.tail) == ("a" * 500, "b" * 500)
    assert outcome.stdout.total_bytes == 1200
    assert outcome.stdout.sha256 == hashlib.sha256(b"a" * 600 + b"b" * 600).hexdigest()


async def test_binary_output_survives_as_text_and_digest(backend: Backend) -> None:
    outcome = await backend.run(python("import sys; sys.stdout.buffer.write(bytes(range(256)))"))
    assert outcome.stdout.head == bytes(range(256)).decode("utf-8", "replace")
    assert outcome.stdout.sha256 == hashlib.sha256(bytes(range(256))).hexdigest()


async def test_a_program_reads_its_input_and_then_its_end(backend: Backend) -> None:
    code = "import sys; data = sys.stdin.buffer.read(); print(len(data))"
    large = await backend.run(python(code, stdin=b"x" * 300_000))
    empty = await backend.run(python(code))
    assert (large.stdout.head, empty.stdout.head) == ("300000\n", "0\n")


async def test_files_travel_in_and_only_new_and_changed_ones_out(backend: Backend) -> None:
    code = (
        "import os, pathlib\n"
        "assert pathlib.Path('pkg/data.bin').read_bytes() == bytes(range(256))\n"
        "pathlib.Path('changed').write_text('new')\n"
        "os.makedirs('deep/er')\n"
        "pathlib.Path('deep/er/ä b.txt').write_text('x')\n"
        "os.remove('gone')\n"
    )
    files = {"pkg/data.bin": bytes(range(256)), "changed": b"old", "gone": b"", "empty": b""}
    outcome = await backend.run(python(code, files=files))
    assert (outcome.status, outcome.stderr.head, outcome.skipped) == ("ok", "", ())
    assert outcome.files == (
        File(path="changed", content=b"new", sha256=hashlib.sha256(b"new").hexdigest(), size=3),
        File(path="deep/er/ä b.txt", content=b"x", sha256=hashlib.sha256(b"x").hexdigest(), size=1),
    )


async def test_links_and_odd_names_stay_inside_and_are_named(backend: Backend) -> None:
    code = (
        "import os\n"
        "os.symlink('/etc/passwd', 'link')\n"
        "os.symlink('/etc', 'folder')\n"
        "open(b'bad\\xff', 'w').close()\n"
        "open('new\\nline', 'w').close()\n"
        "open('good', 'w').close()\n"
        "os.chmod('good', 0)\n"
    )
    outcome = await backend.run(python(code))
    assert [one.path for one in outcome.files] == ["good"]
    odd = "the path has a control or format character or is not UTF-8"
    assert sorted(outcome.skipped, key=lambda one: one.path) == [
        Skipped(path="bad\\udcff", reason=odd),
        Skipped(path="folder", reason="a symbolic link"),
        Skipped(path="link", reason="a symbolic link"),
        Skipped(path="new\\nline", reason=odd),
    ]


async def test_files_beyond_the_caps_stay_inside_and_the_caps_are_named(backend: Backend) -> None:
    code = "open('large', 'wb').truncate(15 << 20)\nfor n in range(30): open(f'f{n:02}', 'w').write(str(n))\n"
    outcome = await backend.run(python(code))
    assert outcome.limits_hit == ("file_bytes", "files_count")
    assert [one.path for one in outcome.files] == [f"f{n:02}" for n in range(20)]


async def test_many_sparse_files_do_not_become_gigabytes(backend: Backend) -> None:
    code = "for n in range(200): open(f'{n}', 'wb').truncate(1 << 20)"
    started = time.monotonic()
    outcome = await backend.run(python(code))
    assert "files_bytes" in outcome.limits_hit
    assert sum(one.size for one in outcome.files) <= 2 * 2**20
    assert time.monotonic() - started < 10


async def test_the_end_of_the_output_is_not_the_end_of_the_program(backend: Backend) -> None:
    code = "import os, time\nos.close(1)\nos.close(2)\ntime.sleep(0.7)\nopen('late', 'w').close()"
    outcome = await backend.run(python(code))
    assert (outcome.status, [one.path for one in outcome.files]) == ("ok", ["late"])


async def test_a_daemon_that_keeps_the_output_open_does_not_keep_the_run(backend: Backend) -> None:
    outcome = await backend.run(Order(id="test-run", argv=("sh", "-c", "sleep 50 & echo up"), timeout_s=30.0))
    assert (outcome.status, outcome.stdout.head) == ("ok", "up\n")
    assert outcome.wall_ms < 5000


async def test_pytest_runs_under_the_same_name_everywhere(backend: Backend) -> None:
    files = {"test_it.py": b"def test_good(): pass\ndef test_bad(): assert 1 == 2\n"}
    for name in ("python", "python3"):
        outcome = await backend.run(Order(id="test-run", argv=(name, "-m", "pytest", "-q"), files=files))
        assert (outcome.status, outcome.exit_code, outcome.files) == ("failed", 1, ())
        assert "1 failed, 1 passed" in outcome.stdout.tail + outcome.stdout.head


async def test_the_same_order_twice_at_once_runs_once(backend: Backend) -> None:
    slow = python("import time; time.sleep(1.5); print('done')")
    first = asyncio.create_task(backend.run(slow))
    await asyncio.sleep(0.5)
    with pytest.raises(RunUnderWay):
        await backend.run(slow)
    assert (await first).stdout.head == "done\n"
    assert (await backend.run(slow)).status == "ok"


async def test_runs_at_once_do_not_see_each_other(backend: Backend) -> None:
    code = "import os, time; open('mine', 'w').close(); time.sleep(0.5); print(sorted(os.listdir('.')))"
    outcomes = await asyncio.gather(*(backend.run(python(code, id=f"test-{n}")) for n in range(6)))
    assert [outcome.stdout.head for outcome in outcomes] == ["['mine']\n"] * 6


async def test_many_files_that_fit_are_all_there(backend: Backend) -> None:
    files = {f"f{number}": b"" for number in range(400)}
    code = "import os; print(len(os.listdir('.')))"
    assert (await backend.run(python(code, files=files))).stdout.head == "400\n"


async def test_more_files_than_the_workspace_holds_are_told_before_anything_starts(backend: Backend) -> None:
    many = await backend.run(python("pass", files={f"{number}": b"" for number in range(10_000)}))
    large = await backend.run(python("pass", files={"large": bytes(17 << 20)}))
    assert (many.status, many.limits_hit) == ("not_started", ("workspace_inodes",))
    assert (large.status, large.limits_hit) == ("not_started", ("workspace_bytes",))
    assert many.fix
    assert large.fix


async def test_files_and_input_come_together(backend: Backend) -> None:
    code = "import sys; print(open('d/a').read(), len(sys.stdin.read()), sys.stdin.read())"
    outcome = await backend.run(python(code, files={"d/a": b"file", "e": b""}, stdin=b"y" * 200_000))
    assert (outcome.status, outcome.stdout.head) == ("ok", "file 200000 \n")


async def test_a_closed_pipe_ends_a_program_as_it_does_anywhere(backend: Backend) -> None:
    outcome = await backend.run(
        Order(id="test-run", argv=("sh", "-c", "yes | head -1; echo end"), files={"a": b"1"})
    )
    assert (outcome.status, outcome.stdout.head, outcome.stderr.head) == ("ok", "y\nend\n", "")


@pytest.mark.docker
async def test_both_backends_bring_the_same_files(
    docker_backend: Backend, bubblewrap_backend: Backend
) -> None:
    code = (
        "import json, os, pathlib, random, sqlite3\n"
        "random.seed(7)\n"
        "pathlib.Path('out/deep').mkdir(parents=True)\n"
        "pathlib.Path('out/deep/data.bin').write_bytes(random.randbytes(100_000))\n"
        "pathlib.Path('out/ä b.txt').write_text('text\\n')\n"
        "pathlib.Path('seen.json').write_text(json.dumps([sorted(os.listdir('.')), os.getcwd(), os.getuid(),"
        " sorted(set(os.environ) - {'HOSTNAME', 'PWD', 'OLDPWD', 'SHLVL', '_', 'LC_CTYPE'})]))\n"
        "os.symlink('seen.json', 'link')\n"
        "os.remove('gone')\n"
        "os.chmod('kept', 0o755)\n"
        "print('done')\n"
    )
    files = {"kept": b"same", "changed": b"old", "gone": b"x", "pkg/__init__.py": b""}
    both = [
        await one.run(python(code, files=files, id="test-same"))
        for one in (docker_backend, bubblewrap_backend)
    ]
    first, second = (
        (o.status, o.exit_code, o.stdout, o.stderr, o.files, o.skipped, o.limits_hit) for o in both
    )
    assert first == second
    assert [file.path for file in both[0].files] == ["out/deep/data.bin", "out/ä b.txt", "seen.json"]
