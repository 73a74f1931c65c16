"""Dict without entries, which all connections share until they have some: most have none of most kinds."""

from __future__ import annotations

from typing import Any, Final, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _NoEntries(dict[Any, Any]):
    """Empty dict that takes no entry."""

    __slots__ = ()

    __hash__ = object.__hash__  # type: ignore[assignment]  # so that it may be the default of a field

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("nobody may add to the dict that stands for none: make one by with_entry")

    __setitem__ = __ior__ = setdefault = update = _refuse


NO_ENTRIES: Final[dict[Any, Any]] = _NoEntries()
"""The dict. One of its own takes 64 bytes, and an idle connection would have fifteen."""


def with_entry(table: dict[K, V], key: K, value: V) -> dict[K, V]:
    """Return a dict with an entry more: the same one, or another one in the place of :data:`NO_ENTRIES`."""
    if table is NO_ENTRIES:
        return {key: value}
    table[key] = value
    return table
