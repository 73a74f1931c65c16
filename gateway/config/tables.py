"""Conversion between tables of a TOML file and frozen dataclasses, whose fields are the keys."""

from __future__ import annotations

import dataclasses
import enum
import math
import types
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from gateway.errors import InvalidArgument, RequestRefused
from gateway.protocol.arguments import nearest
from gateway.protocol.schema import Schema

T = TypeVar("T")

ANY_SIZE: Final = "*"
"""Mark of any size in the shape of a schema, because TOML has no null."""


class UnknownKey(InvalidArgument):
    """Key that a table does not have.

    Attributes:
        where: name of the table.
        key: the key.
    """

    def __init__(self, where: str, key: str, known: Collection[str]) -> None:
        close = nearest(key, known)
        hint = f"did you mean {close}?" if close else f"known keys are {', '.join(sorted(known))}"
        super().__init__(f"{where}: unknown key {key!r}: {hint}")
        self.where = where
        self.key = key


def read_table(cls: type[T], table: Mapping[str, Any], where: str, base: T | None = None) -> T:
    """Return a dataclass with the values of a table; absent keys keep their defaults.

    Args:
        cls: a frozen dataclass whose fields have defaults.
        table: a table of parsed TOML.
        where: name of the table in error messages, such as ``frys.toml: [limits]``.
        base: has the defaults, if the class does not.

    Raises:
        UnknownKey: a key is unknown.
        InvalidArgument: a value does not fit its field.
    """
    hints = hints_of(cls)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in hints:
            raise UnknownKey(where, key, hints)
        before = None if base is None else getattr(base, key)
        values[key] = _read(hints[key], value, f"{where}: {key}", before)
    try:
        return cls(**values) if base is None else dataclasses.replace(base, **values)  # type: ignore[type-var]
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}: {error}") from None


def write_table(value: Any) -> dict[str, Any]:
    """Return the table from which :func:`read_table` makes the dataclass; fields that are ``None`` are left out."""
    fields = ((name, getattr(value, name)) for name in hints_of(type(value)))
    return {name: _written(field) for name, field in fields if field is not None}


def hints_of(cls: type[Any]) -> dict[str, Any]:
    """Return the types of a dataclass's fields, by their names."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _written(value: Any) -> Any:
    if isinstance(value, Schema):
        return _replaced(value.fields(), None, ANY_SIZE)
    return write_table(value) if dataclasses.is_dataclass(value) else value


def _read_schema(value: Any, where: str) -> Schema:
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "a table")
    try:
        return Schema.parse(_replaced(dict(value), ANY_SIZE, None), where)
    except RequestRefused as refusal:
        raise InvalidArgument(refusal.message) from None


def _replaced(value: Any, old: object, new: object) -> Any:
    """Return a JSON value in which each ``old`` is ``new``."""
    if isinstance(value, dict):
        return {key: _replaced(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, old, new) for inner in value]
    return new if value == old else value


def _read(hint: Any, value: Any, where: str, before: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        if value is False and len(options) < len(get_args(hint)) and bool not in options:
            # TOML has no null: false stands for it.
            return None
        hint = options[0]
    if hint is Schema:
        return _read_schema(value, where)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "a table")
        assert isinstance(hint, type)
        return read_table(hint, value, where, before)
    if isinstance(hint, type) and issubclass(hint, enum.StrEnum):
        if not isinstance(value, str) or value not in set(hint):
            raise _wrong(where, value, f"one of {', '.join(hint)}")
        return hint(value)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise _wrong(where, value, "a list")
        return tuple([_read(get_args(hint)[0], each, where, None) for each in value])
    return _read_plain(hint, value, where)


def _read_plain(hint: Any, value: Any, where: str) -> Any:
    if hint is str and isinstance(value, str):
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if hint in (int, float) and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            # TOML has inf and nan, no setting has.
            raise _wrong(where, value, "a finite number")
        if value < 0:
            raise _wrong(where, value, "no negative number")
        if hint is float or isinstance(value, int):
            return hint(value)
    names = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}
    raise _wrong(where, value, names[hint])


def _wrong(where: str, value: Any, wanted: str) -> InvalidArgument:
    return InvalidArgument(f"{where} is {value!r}: it takes {wanted}")
