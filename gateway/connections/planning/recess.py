"""Recess: time without plans behind a look that has failed. A value, made anew with each failure."""

from __future__ import annotations

from typing import Final, NamedTuple

FIRST_RECESS_S: Final = 60.0
LAST_RECESS_S: Final = 3600.0
"""Times without plans behind a failure: the first one, which doubles with each further failure, and the last one."""


class Recess(NamedTuple):
    """Time in which no plan is made."""

    until_s: float = 0.0
    length_s: float = 0.0
    failures: int = 0
    """Looks that have failed so far."""

    def after_failure(self, now_s: float) -> Recess:
        """Return the recess behind one more failure.

        It is twice as long as the one before, unless plans have gone on for as long as that.
        """
        again = now_s < self.until_s + self.length_s
        length_s = min(2 * self.length_s, LAST_RECESS_S) if again else FIRST_RECESS_S
        return Recess(now_s + length_s, length_s, self.failures + 1)

    @property
    def is_first(self) -> bool:
        """Whether the failure is the first one of its kind for a while: its cause is not in the log yet."""
        return self.length_s == FIRST_RECESS_S

    def left_s(self, now_s: float) -> float:
        """Return the time until plans go on; 0: they do."""
        return max(0.0, self.until_s - now_s)
