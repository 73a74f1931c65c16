"""Checks settings when they are made, so that a gateway with one that cannot be is never started."""

from __future__ import annotations

from gateway.errors import InvalidArgument


def check_positive(settings: object, *names: str) -> None:
    """Whether fields are above 0.

    Raises:
        InvalidArgument: one is not; says which, and what it is.
    """
    for name in names:
        value = getattr(settings, name)
        # The other way round, "not a number" would pass.
        if not value > 0:
            raise InvalidArgument(f"{name} is {value}: it takes more than 0")
