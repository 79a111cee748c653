"""What goes into the image, and what is known of the parts it stands on."""

import pytest

from sandbox.docker.packages import check_names
from sandbox.errors import PackageError
from sandbox.known import engine_warnings


@pytest.mark.parametrize("name", ["attrs", "Flask", "attrs==25.1", "httpx[http2]", "a-b_c.d>=1", "x~=2.0"])
def test_a_package_is_named_with_or_without_a_version(name: str) -> None:
    check_names([name])


@pytest.mark.parametrize(
    "name", ["", "-r file", "--index-url=x", "../x", "a b", "a; rm -rf /", "$(id)", "git+https://x", "a@b"]
)
def test_what_is_no_package_name_never_reaches_pip(name: str) -> None:
    with pytest.raises(PackageError, match="is not the name of a package"):
        check_names(["attrs", name])


@pytest.mark.parametrize(
    ("runc", "old"),
    [
        ("1.1.5+ds1", True),
        ("1.1.12", True),
        ("1.2.7", True),
        ("1.2.8", False),
        ("1.3.2", True),
        ("1.3.3", False),
        ("1.4.0", False),
        ("2.0.0", False),
        ("unknown", False),
    ],
)
def test_a_runc_that_lets_programs_out_is_told(runc: str, old: bool) -> None:
    assert bool(engine_warnings({"Engine": "28.0.0", "runc": runc})) is old
