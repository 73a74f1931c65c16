"""Validation of settings when they are made, so that no gateway starts with a value that cannot work."""

from __future__ import annotations

from gateway.errors import InvalidArgument


def check_positive(settings: object, *names: str) -> None:
    """Check that the named fields are above 0.

    Raises:
        InvalidArgument: a field is not; the message names it and its value.
    """
    for name in names:
        value = getattr(settings, name)
        # Written as "not above", because "at most" would let "not a number" pass.
        if not value > 0:
            raise InvalidArgument(f"{name} is {value}: it takes more than 0")
