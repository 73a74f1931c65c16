"""Fields of JSON objects of another version, or of another server: what is absent or of another type is nothing."""

from __future__ import annotations

import math

from gateway.cli.text import printable


class Fields:
    """Fields of one JSON object; any other value has none.

    Args:
        value: a JSON value.
    """

    def __init__(self, value: object) -> None:
        self._values = value if isinstance(value, dict) else {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def number(self, name: str) -> float | None:
        """Return a finite number; a flag is none."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def flag(self, name: str) -> bool:
        """Return whether a flag is true."""
        return self._values.get(name) is True

    def text(self, name: str) -> str:
        """Return a text without control characters; empty if there is none."""
        value = self._values.get(name)
        return printable(value) if isinstance(value, str) else ""

    def fields(self, name: str) -> Fields:
        """Return the fields of an object."""
        return Fields(self._values.get(name))

    def table(self) -> dict[str, Fields]:
        """Return the objects among the values, by name."""
        return {printable(str(name)): Fields(value) for name, value in self._values.items()}

    def numbers(self) -> dict[str, float]:
        """Return the numbers among the values, by name."""
        found = {printable(str(name)): self.number(name) for name in self._values}
        return {name: number for name, number in found.items() if number is not None}

    def list(self, name: str) -> list[Fields]:
        """Return the objects of a list; those without a field are left out."""
        value = self._values.get(name)
        found = [Fields(item) for item in value] if isinstance(value, list) else []
        return [each for each in found if each]
