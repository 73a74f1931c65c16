"""Reads and writes ``frys.toml``: the fields of :class:`~gateway.config.settings.Settings`, and rules for streams."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.config.settings import Settings
from gateway.config.tables import hints_of, read_table, write_table
from gateway.connections.core import CoreSettings
from gateway.errors import InvalidArgument, RequestRefused
from gateway.protocol.names import Pattern, compile_pattern
from gateway.streams.rules import StreamConfig, StreamRules

_STREAMS: Final = "streams"
_PATTERN: Final = "pattern"


def read_settings(path: Path) -> Settings:
    """The settings that a file holds; what it leaves out has its default.

    Raises:
        OSError: it cannot be read.
        InvalidArgument: it is no TOML, or holds what cannot be; says where.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path} is no TOML: {error}") from None
    return settings_of(tables, str(path))


def settings_of(tables: Mapping[str, Any], where: str) -> Settings:
    """As :func:`read_settings`, of what TOML gave. That values go together is left to :meth:`Settings.check`.

    The fields of :class:`CoreSettings` stand beside those of :class:`Settings`, its groups are tables.
    """
    known = _keys()
    unknown = [key for key in tables if key not in known]
    if unknown:
        raise InvalidArgument(f"{where}: there is no key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    core_keys = hints_of(CoreSettings)
    core: CoreSettings = read_table(
        CoreSettings, {key: value for key, value in tables.items() if key in core_keys}, where
    )
    core = dataclasses.replace(core, rules=_read_rules(tables.get(_STREAMS, []), where))
    own = {key: value for key, value in tables.items() if key not in core_keys and key != _STREAMS}
    return read_table(Settings, own, where, Settings(core=core))


def write_settings(settings: Settings) -> str:
    """The file that says all of it, defaults too, so that :func:`read_settings` gives the same."""
    core = write_table(dataclasses.replace(settings.core, rules=StreamRules()))
    own = write_table(dataclasses.replace(settings, core=CoreSettings()))
    del core["rules"], own["core"]
    if settings.admin_port is None:
        own["admin_port"] = False
    rules = [{_PATTERN: pattern.text, **write_table(config)} for pattern, config in settings.core.rules.rules]
    return "\n".join(_lines({**own, **core}, "")) + "".join(
        "\n\n" + "\n".join(_lines(rule, _STREAMS, repeated=True)) for rule in rules
    )


def _keys() -> set[str]:
    return {*hints_of(Settings), *hints_of(CoreSettings), _STREAMS} - {"core", "rules"}


def _read_rules(tables: Any, where: str) -> StreamRules:
    if not isinstance(tables, list):
        raise InvalidArgument(f"{where}: streams is a list of tables: write [[streams]] above each")
    return StreamRules([_read_rule(table, f"{where}: [[streams]] number {n}") for n, table in enumerate(tables, 1)])


def _read_rule(table: Mapping[str, Any], where: str) -> tuple[Pattern, StreamConfig]:
    rest = dict(table)
    text = rest.pop(_PATTERN, None)
    if not isinstance(text, str):
        raise InvalidArgument(f"{where} has no pattern: it takes the names of the streams, such as 'wf-42/**'")
    try:
        pattern = compile_pattern(text)
    except RequestRefused as refusal:
        raise InvalidArgument(f"{where}: {refusal.message}") from None
    return pattern, read_table(StreamConfig, rest, f"{where} ({text})")


def _lines(table: Mapping[str, Any], name: str, *, repeated: bool = False) -> Iterator[str]:
    """A table as TOML: its values, then the tables in it."""
    if repeated:
        yield f"[[{name}]]"
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    for key, value in table.items():
        if key not in inner:
            # What JSON writes of texts, numbers, booleans and lists of them is TOML.
            yield f"{key} = {json.dumps(value)}"
    for key, value in inner.items():
        path = f"{name}.{key}" if name else key
        yield ""
        yield f"[{path}]"
        yield from _lines(value, path)
