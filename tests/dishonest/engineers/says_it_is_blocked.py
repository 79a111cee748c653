"""Says that the task cannot be done."""

BLOCKED = "Romans had no computers."


def files(program: str) -> dict[str, str]:
    return {}
