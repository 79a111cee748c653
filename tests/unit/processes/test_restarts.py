"""When a process that keeps dying is started again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from actors.host.supervisor import ProcessSpec, RestartPolicy, Restarts, Supervisor

CALM = RestartPolicy(jitter=0.0, max_crashes=1000)


def delays(
    policy: RestartPolicy, crashes: int, *, every_s: float = 0.0, ran_s: float = 0.0
) -> list[float | None]:
    restarts = Restarts(policy, Random(7))
    return [restarts.delay_s(now_s=nth * every_s, ran_s=ran_s) for nth in range(crashes)]


def test_the_first_restart_is_immediate_and_later_ones_double_up_to_the_longest() -> None:
    assert delays(CALM, 11) == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]


def test_the_delay_stays_the_longest_however_many_crashes_came_before() -> None:
    assert delays(CALM, 3000, every_s=30)[-1] == 30.0


def test_jitter_varies_each_delay_by_a_quarter_at_most() -> None:
    varied = delays(RestartPolicy(max_crashes=1000), 200)
    plain = delays(CALM, 200)
    shares = [a / b for a, b in zip(varied[1:], plain[1:], strict=True) if a is not None and b]
    assert all(0.75 <= share <= 1.25 for share in shares)
    assert len(set(shares)) > 100


def test_the_same_seed_gives_the_same_delays() -> None:
    assert delays(RestartPolicy(), 9) == delays(RestartPolicy(), 9)


def test_a_long_run_makes_the_next_restart_immediate_again() -> None:
    restarts = Restarts(CALM, Random(7))
    assert [restarts.delay_s(now_s=now_s, ran_s=0) for now_s in (0, 1, 2)] == [0.0, 0.1, 0.2]
    assert restarts.delay_s(now_s=70, ran_s=60) == 0.0
    assert restarts.delay_s(now_s=71, ran_s=0) == 0.1


@pytest.mark.parametrize(("every_s", "gives_up"), [(0.0, True), (6.6, True), (6.7, False), (60.0, False)])
def test_ten_crashes_within_a_minute_are_too_many(every_s: float, gives_up: bool) -> None:
    assert (delays(RestartPolicy(), 10, every_s=every_s)[-1] is None) is gives_up
    assert None not in delays(RestartPolicy(), 9, every_s=every_s)


def test_crashes_before_something_was_handled_do_not_count() -> None:
    restarts = Restarts(RestartPolicy(), Random(7))
    for _ in range(9):
        assert restarts.delay_s(now_s=0, ran_s=0) is not None
    restarts.forget()
    assert restarts.delay_s(now_s=0, ran_s=0) == 0.0


def test_two_processes_of_one_name_are_refused() -> None:
    spec = ProcessSpec(name="a", argv=["true"], env={}, log=Path("a.log"))
    with pytest.raises(ValueError, match="same name"):
        Supervisor([spec, spec], lambda event: None)
