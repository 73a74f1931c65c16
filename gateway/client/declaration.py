"""What a publisher says that a stream is, when it opens it (spec section 4.1)."""

from __future__ import annotations

from typing import NamedTuple

from gateway.client.content import kind_of
from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind, StreamInfo


class Declaration(NamedTuple):
    """What OPEN says of a stream; ``None`` takes it as it is."""

    kind: Kind | None = None
    durability: Durability | None = None

    @classmethod
    def of(cls, kind: str | None, durability: str | None) -> Declaration:
        """As a caller names it.

        Raises:
            InvalidArgument: there is no such kind or durability.
        """
        return cls(kind_of(kind), durability_of(durability))

    def completed(self, before: Declaration) -> Declaration:
        """This one, with what it leaves open as it was said before."""
        return Declaration(self.kind or before.kind, self.durability or before.durability)

    def holds_for(self, other: Declaration) -> bool:
        """Whether everything that this one says is said by the other."""
        return self.kind in (None, other.kind) and self.durability in (None, other.durability)

    def holds_of(self, info: StreamInfo) -> bool:
        """Whether a stream is what this one says."""
        return self.holds_for(Declaration(info.kind, info.durability))

    def check(self, info: StreamInfo) -> None:
        """Refuse what is to go to a stream that is something else, as the gateway would.

        Raises:
            RequestRefused: ``KIND_MISMATCH`` or ``DURABILITY_MISMATCH``.
        """
        if self.kind not in (None, info.kind):
            raise RequestRefused(Code.KIND_MISMATCH, f"stream {info.stream} is {info.kind}, not {self.kind}")
        if self.durability not in (None, info.durability):
            problem = f"stream {info.stream} has durability {info.durability}, not {self.durability}"
            raise RequestRefused(Code.DURABILITY_MISMATCH, problem)


ANYTHING = Declaration()
"""Of whoever takes a stream as it is."""


def durability_of(durability: str | None) -> Durability | None:
    """The durability that a caller names.

    Raises:
        InvalidArgument: there is no such durability.
    """
    if durability is None:
        return None
    try:
        return Durability(durability)
    except ValueError:
        raise InvalidArgument(f"unknown durability {durability!r}; known are {', '.join(Durability)}") from None
