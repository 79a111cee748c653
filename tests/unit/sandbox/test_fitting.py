"""Files that cannot fit are told before anything is started."""

from sandbox import Order, Policy
from sandbox.room import misfit

POLICY = Policy(workspace_bytes=8 * 4096, workspace_inodes=6)


def order(files: dict[str, bytes]) -> Order:
    return Order(id="o", argv=("true",), files=files)


def test_what_fits_has_no_misfit() -> None:
    assert misfit(order({}), POLICY) is None
    assert misfit(order({"a/b": bytes(4096 * 7), "c": b"1"}), POLICY) is None


def test_bytes_are_counted_in_pages() -> None:
    found = misfit(order({"a": bytes(4096 * 8), "b": b"1"}), POLICY)
    assert found is not None
    assert found[2] == "workspace_bytes"


def test_folders_are_entries_too() -> None:
    found = misfit(order({"a/b/c/d/e": b"", "f": b""}), POLICY)
    assert found is not None
    assert (found[0], found[2]) == (
        "7 files and folders are sent, the workspace holds 6",
        "workspace_inodes",
    )
