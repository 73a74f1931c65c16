"""Fields of a JSON object, read by name and type, for bodies of frames and for text messages (spec section 2).

Knows JSON and ranges of integers, not the fields of messages. An optional field that is null counts as absent. A
refusal names the field and the type that was found, never the value of a string: the string might be a token.
"""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeVar

import orjson

from gateway.errors import Code, RequestRefused
from gateway.protocol.wire import Buffer

U32_MAX: Final = 2**32 - 1
U64_MAX: Final = 2**64 - 1
I64_MAX: Final = 2**63 - 1
EXACT_MAX: Final = 2**53 - 1
"""Largest integer up to which JavaScript reads every integer exactly."""

AnyStrEnum = TypeVar("AnyStrEnum", bound=enum.StrEnum)


class BodyRefused(RequestRefused):
    """Refusal of a message whose body could be read in part only.

    Attributes:
        answers: numbers in the body by which its sender recognizes the answer (``request``, ``alias``, ...); fields of
            :class:`~gateway.protocol.messages.Error`.
        more: whether it is a part of a SUBSCRIBE that others follow; None: it is no SUBSCRIBE.
    """

    def __init__(self, code: Code | int, message: str, answers: dict[str, int], *, more: bool | None = None) -> None:
        super().__init__(code, message)
        self.answers = answers
        self.more = more


class JsonBody:
    """Fields of one JSON object.

    Every method that reads a field raises ``RequestRefused(INVALID_REQUEST)`` if the field is missing, of another type,
    or out of range; for a missing field, methods whose name ends in ``_or_none`` return None.

    Args:
        what: name of the object in error texts.
        fields: the object.
    """

    __slots__ = ("_fields", "_what")

    def __init__(self, what: str, fields: dict[str, Any]) -> None:
        self._what = what
        self._fields = fields

    @classmethod
    def parse(cls, what: str, text: Buffer | str) -> JsonBody:
        """Parse UTF-8 JSON, which must be an object.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise RequestRefused(Code.INVALID_REQUEST, f"{what} is not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise RequestRefused(Code.INVALID_REQUEST, f"{what} must be a JSON object, met {_type_of(fields)}")
        return cls(what, fields)

    def __contains__(self, name: str) -> bool:
        """Return whether the field is present and not null."""
        return self._fields.get(name) is not None

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return the names of the fields with their values as they are."""
        return self._fields.items()

    def get(self, name: str) -> object:
        """Return the value of a field as it is, or None."""
        value: object = self._fields.get(name)
        return value

    def fields_if(self, names: AbstractSet[str]) -> dict[str, Any] | None:
        """Return all fields if none has another name than these, otherwise None."""
        return self._fields if self._fields.keys() <= names else None

    def integers_found(self, maxima: Mapping[str, int]) -> dict[str, int]:
        """Return those of the fields that hold an integer from 0 to the maximum; refuse no field."""
        values = ((name, self._fields.get(name)) for name in maxima)
        return {name: value for name, value in values if type(value) is int and 0 <= value <= maxima[name]}

    def integer(self, name: str, maximum: int = U64_MAX, minimum: int = 0) -> int:
        """Return an integer from ``minimum`` to ``maximum``, both included."""
        value = self._required(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer", value)
        if not minimum <= value <= maximum:
            raise self._refused(name, f"must be from {minimum} to {maximum}, met {value}")
        return value

    def integer_or_none(self, name: str, maximum: int = U64_MAX, minimum: int = 0) -> int | None:
        """Return an integer as :meth:`integer` does, or None if it is absent."""
        return self.integer(name, maximum, minimum) if name in self else None

    def number(self, name: str) -> float:
        """Return a finite number, at least 0."""
        value = self._required(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name, "a number", value)
        if not (math.isfinite(value) and value >= 0):
            raise self._refused(name, f"must be finite and not negative, met {value}")
        return float(value)

    def number_or_none(self, name: str) -> float | None:
        """Return a number as :meth:`number` does, or None if it is absent."""
        return self.number(name) if name in self else None

    def boolean_or_none(self, name: str) -> bool | None:
        """Return a boolean, or None if it is absent."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(name, "a boolean", value)
        return value

    def text(self, name: str) -> str:
        """Return a string."""
        value = self._required(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a string", value)
        return value

    def text_or_none(self, name: str) -> str | None:
        """Return a string, or None if it is absent."""
        return self.text(name) if name in self else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; empty if it is absent."""
        values = self._list(name) if name in self else []
        for value in values:
            if not isinstance(value, str):
                raise self._wrong(name, "a list of strings", value)
        return tuple(values)

    def integers(self, name: str) -> tuple[int, ...]:
        """Return a list of integers of 0 or more."""
        values = self._list(name)
        for value in values:
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise self._wrong(name, "a list of integers of 0 or more", value)
        return tuple(values)

    def choice(self, name: str, choices: type[AnyStrEnum]) -> AnyStrEnum:
        """Return one of the names of an enumeration."""
        value = self.text(name)
        try:
            return choices(value)
        except ValueError:
            raise self._refused(name, f"must be one of {', '.join(choices)}, met {value[:80]!r}") from None

    def choice_or_none(self, name: str, choices: type[AnyStrEnum]) -> AnyStrEnum | None:
        """Return a name as :meth:`choice` does, or None if it is absent."""
        return self.choice(name, choices) if name in self else None

    def nested(self, name: str) -> JsonBody:
        """Return the object in a field."""
        value = self._required(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return JsonBody(f"{self._what}.{name}", value)

    def objects(self, name: str, most: int = sys.maxsize) -> tuple[JsonBody, ...]:
        """Return a list of at most so many objects."""
        values = self._list(name)
        if len(values) > most:
            raise self._refused(name, f"must have at most {most} entries, met {len(values)}")
        for value in values:
            if not isinstance(value, dict):
                raise self._wrong(name, "a list of objects", value)
        return tuple([JsonBody(f"{self._what}.{name}", value) for value in values])

    def mapping_or_none(self, name: str) -> dict[str, Any] | None:
        """Return the object in a field as a dict, or None if it is absent."""
        return self.nested(name)._fields if name in self else None

    def _list(self, name: str) -> list[Any]:
        value = self._required(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        return value

    def _required(self, name: str) -> object:
        value: object = self._fields.get(name)
        if value is None:
            raise self._refused(name, "is required")
        return value

    def _wrong(self, name: str, wanted: str, value: object) -> RequestRefused:
        return self._refused(name, f"must be {wanted}, met {_type_of(value)}")

    def _refused(self, name: str, reason: str) -> RequestRefused:
        return RequestRefused(Code.INVALID_REQUEST, f"{self._what}: field {name!r} {reason}")


def _type_of(value: object) -> str:
    """Return the JSON type of a parsed value, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return f"the integer {value}"
        case float():
            return f"the number {value}"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def in_one_line(text: str) -> str:
    """Return a text of a peer for a log, in which it begins no line of its own."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
