"""What is wrong with somebody's IDMEF, in one line; and strangers' text made fit to be shown."""

from __future__ import annotations

MAX_SHOWN = 80
"""Characters of a value in a complaint."""


class IdmefError(ValueError):
    """Names place, element and value, in one printable line."""

    def __init__(self, place: str, element: str, value: object, why: str) -> None:
        shown = "" if value is None else f" '{clean(value, MAX_SHOWN)}'"
        super().__init__(f"{place}: {clean(element, MAX_SHOWN)}{shown}: {why}")


def clean(text: object, most: int) -> str:
    """Printable, on one line, at most ``most`` characters."""
    shown = text if type(text) is str else str(text)
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
        # What is shown of a character is longer than it.
        shown = shown if len(shown) <= most else shown[: most - 1] + "…"
    return shown
