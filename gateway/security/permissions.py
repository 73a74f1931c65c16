"""Permissions: the acts that a client may do, each by patterns of streams. Compiled once, and decided once a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from gateway.errors import InvalidArgument, RequestRefused
from gateway.ids import ClientId, StreamName
from gateway.security.coverage import check_granted, covers

MAX_PATTERNS: Final = 256
"""Patterns of one token, or of one type of client."""
MAX_DECISIONS: Final = 32_768
"""Decisions that are remembered, of all grants; beyond it all are forgotten, and made again."""

MAX_NUMBERS: Final = 4096
"""Different grants whose decisions are shared; beyond it equal ones are decided for each connection."""


@dataclass(frozen=True, slots=True)
class GrantedPatterns:
    """Patterns of streams, and addresses, by the act that they permit.

    Raises:
        InvalidArgument: a pattern that is none, or too many of them.
    """

    publish: tuple[str, ...] = ()
    """Streams that may be published to."""
    subscribe: tuple[str, ...] = ()
    """Streams that may be received, and groups that may be joined."""
    presence: tuple[str, ...] | None = None
    """Streams and workflows (``wf-42/**``) whose members may be watched and joined; ``None``: as ``subscribe``."""
    history: tuple[str, ...] | None = None
    """Streams whose past may be read, by ``since``; ``None``: as ``subscribe``."""
    request: tuple[str, ...] = ()
    """Addresses that may be asked."""
    control: tuple[str, ...] = ()
    """Streams that may be deleted."""

    def __post_init__(self) -> None:
        lists = {each.name: getattr(self, each.name) or () for each in fields(self)}
        for act, patterns in lists.items():
            for pattern in patterns:
                try:
                    check_granted(pattern)
                except RequestRefused as refusal:
                    raise InvalidArgument(f"{act}: {refusal.message}") from None
        count = sum(map(len, lists.values()))
        if count > MAX_PATTERNS:
            raise InvalidArgument(f"{count} patterns: it takes {MAX_PATTERNS}")

    @classmethod
    def of(cls, claim: object) -> GrantedPatterns:
        """Return the patterns that a claim of a token has.

        Raises:
            InvalidArgument: it is no object of lists, names an act that there is not, or a pattern that is none.
        """
        if not isinstance(claim, Mapping):
            raise InvalidArgument("it is no object")
        known = [each.name for each in fields(cls)]
        lists: dict[str, Any] = {}
        for act, patterns in claim.items():
            if act not in known:
                raise InvalidArgument(f"it names none of {', '.join(known)}")
            if not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
                raise InvalidArgument(f"{act} is no list of patterns")
            lists[act] = tuple(patterns)
        return cls(**lists)

    def permits(self, act: str, name: str) -> bool:
        """Return whether an act is permitted with a stream, pattern or address, without a look at earlier decisions."""
        patterns = getattr(self, act)
        if patterns is None:
            patterns = self.subscribe
        return any(covers(each, name) for each in patterns)


class Decisions:
    """Decisions that were made before, of all grants of one gateway.

    Args:
        most: decisions that are remembered.
    """

    def __init__(self, most: int = MAX_DECISIONS) -> None:
        self._most = most
        self._numbers: dict[tuple[GrantedPatterns, ...], int] = {}
        self._last = 0
        self._decided: dict[tuple[int, str, str], bool] = {}

    def __len__(self) -> int:
        return len(self._decided)

    def number_of(self, granted: tuple[GrantedPatterns, ...]) -> int:
        """Return a number for patterns, the same for equal ones as long as there is room."""
        number = self._numbers.get(granted)
        if number is None:
            if len(self._numbers) >= MAX_NUMBERS:
                self._numbers.clear()
            number = self._numbers[granted] = self._last = self._last + 1
        return number

    def find(self, number: int, granted: tuple[GrantedPatterns, ...], act: str, name: str) -> bool:
        """Return whether all of the patterns, which have this number, permit an act."""
        key = number, act, name
        decided = self._decided.get(key)
        if decided is None:
            if len(self._decided) >= self._most:
                self._decided.clear()
            decided = self._decided[key] = all(each.permits(act, name) for each in granted)
        return decided


class PatternGrant:
    """:class:`~gateway.connections.ports.Grant` by patterns, of which each list has to permit an act.

    Args:
        granted: patterns of the token, and those of the type of the client.
        decisions: earlier decisions.
        subject: name that the token gives to its client.
        expires_at_s: time at which the token expires.
        token: the token, for who withdraws it.
    """

    __slots__ = ("_decisions", "_granted", "_number", "expires_at_s", "subject", "token")

    def __init__(
        self,
        granted: tuple[GrantedPatterns, ...],
        decisions: Decisions,
        subject: ClientId | None,
        expires_at_s: float | None,
        token: object = None,
    ) -> None:
        self._granted = granted
        self._decisions = decisions
        self._number = decisions.number_of(granted)
        self.subject: ClientId | None = subject
        self.expires_at_s: float | None = expires_at_s
        self.token = token

    def may_publish(self, stream: StreamName) -> bool:
        """Return whether all lists permit to publish."""
        return self._decisions.find(self._number, self._granted, "publish", stream)

    def may_subscribe(self, pattern: str) -> bool:
        """Return whether all lists permit to subscribe to everything that matches."""
        return self._decisions.find(self._number, self._granted, "subscribe", pattern)

    def may_acknowledge(self, pattern: str) -> bool:
        """Return the same as :meth:`may_subscribe`."""
        return self.may_subscribe(pattern)

    def may_attend(self, pattern: str) -> bool:
        """Return whether all lists permit presence."""
        return self._decisions.find(self._number, self._granted, "presence", pattern)

    def may_replay(self, pattern: str) -> bool:
        """Return whether all lists permit to read history."""
        return self._decisions.find(self._number, self._granted, "history", pattern)

    def may_request(self, address: str) -> bool:
        """Return whether all lists permit to ask the address."""
        return self._decisions.find(self._number, self._granted, "request", address)

    def may_control(self, pattern: str) -> bool:
        """Return whether all lists permit to delete everything that matches."""
        return self._decisions.find(self._number, self._granted, "control", pattern)
