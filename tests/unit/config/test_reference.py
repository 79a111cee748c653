from pathlib import Path

from config.reference import render
from config.settings import Settings
from config.tree import leaves

REFERENCE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_reference_is_what_the_fields_say() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render(), (
        "run: python -m config.reference > docs/configuration.md"
    )


def test_every_setting_is_described() -> None:
    assert [key for key, field in leaves(Settings) if not field.description] == []
