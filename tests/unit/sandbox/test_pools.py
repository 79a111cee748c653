"""A pool of started containers, without the containers."""

import itertools
import time

from sandbox.docker.pool import Pool, Spare


def pool(size: int, removed: list[str], life_s: float = 60.0) -> Pool:
    numbers = itertools.count()
    return Pool(size, life_s, lambda: Spare(f"c{next(numbers)}", time.monotonic()), removed.append)


def test_an_empty_pool_gives_nothing_and_a_filled_one_each_spare_once() -> None:
    spares = pool(2, [])
    assert spares.take() is None
    spares.fill()
    taken = [spare.container for _ in range(3) if (spare := spares.take()) is not None]
    assert taken == ["c0", "c1"]


def test_filling_makes_only_what_is_missing() -> None:
    spares = pool(2, [])
    spares.fill()
    assert spares.take() is not None
    spares.fill()
    spares.fill()
    assert len(spares) == 2


def test_a_spare_that_was_given_back_is_the_next_one() -> None:
    spares = pool(2, [])
    spares.fill()
    first = spares.take()
    assert first is not None
    spares.give_back(first)
    assert spares.take() == first


def test_a_spare_that_waited_too_long_is_replaced_and_never_given() -> None:
    removed: list[str] = []
    spares = pool(1, removed, life_s=0.05)
    spares.fill()
    time.sleep(0.06)
    assert spares.take() is None
    spares.fill()
    assert removed == ["c0"]
    fresh = spares.take()
    assert fresh is not None
    assert fresh.container == "c1"


def test_emptying_removes_every_spare() -> None:
    removed: list[str] = []
    spares = pool(3, removed)
    spares.fill()
    spares.empty()
    assert (removed, len(spares)) == (["c0", "c1", "c2"], 0)


def test_what_could_not_be_removed_is_tried_again() -> None:
    refused: list[str] = []

    def remove(container: str) -> None:
        refused.append(container)
        if len(refused) == 1:
            raise OSError

    spares = Pool(1, 60.0, lambda: Spare("c0", time.monotonic()), remove)
    spares.fill()
    for _ in range(2):
        try:
            spares.empty()
        except OSError:
            continue
    assert refused == ["c0", "c0"]
