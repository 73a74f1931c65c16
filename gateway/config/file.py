"""Configuration file ``frys.toml``: the fields of :class:`~gateway.config.settings.Settings`, and rules for streams."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.config.settings import Settings
from gateway.config.tables import UnknownKey, hints_of, read_table, write_table
from gateway.connections.core_settings import CoreSettings
from gateway.errors import InvalidArgument, RequestRefused
from gateway.protocol.names import Pattern, compile_pattern, is_address
from gateway.streams.rules import StreamConfig, StreamRules

_STREAMS: Final = "streams"
_PATTERN: Final = "pattern"


def read_settings(path: Path) -> Settings:
    """Return the settings that a file holds; a missing key has its default.

    Raises:
        OSError: the file cannot be read.
        InvalidArgument: the file is not TOML, has an unknown key or an invalid value; the message says where.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path} is not a TOML file: {error}") from None
    return settings_of(tables, str(path))


def settings_of(tables: Mapping[str, Any], where: str) -> Settings:
    """Return the settings that parsed TOML holds, as :func:`read_settings` does.

    The fields of :class:`~gateway.connections.core_settings.CoreSettings` stand beside those of
    :class:`~gateway.config.settings.Settings`; its groups are tables. Call
    :func:`~gateway.config.bounds.check_settings` to check that the values fit together.

    Args:
        tables: the parsed file.
        where: name of the file in error messages.
    """
    try:
        return _read_settings(tables, where)
    except UnknownKey as unknown:
        place = _place_of(unknown.key)
        if place is None:
            raise
        raise InvalidArgument(f"{unknown.where}: unknown key {unknown.key!r}: it belongs {place}") from None


def _read_settings(tables: Mapping[str, Any], where: str) -> Settings:
    known = _keys()
    unknown = [key for key in tables if key not in known]
    if unknown:
        raise UnknownKey(where, unknown[0], known)
    core_keys = hints_of(CoreSettings)
    core: CoreSettings = read_table(
        CoreSettings, {key: value for key, value in tables.items() if key in core_keys}, where
    )
    core = dataclasses.replace(core, rules=_read_rules(tables.get(_STREAMS, []), where))
    own = {key: value for key, value in tables.items() if key not in core_keys and key != _STREAMS}
    return read_table(Settings, own, where, Settings(core=core))


def write_settings(settings: Settings) -> str:
    """Return the file, with all defaults, from which :func:`read_settings` gives the same settings."""
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


def _place_of(key: str) -> str | None:
    """Return the place of a key that stands where it does not belong; ``None``: it belongs nowhere."""
    if key in _keys():
        return "above all tables"
    tables: dict[str, type[Any]] = {**hints_of(CoreSettings), f"[{_STREAMS}]": StreamConfig}
    for name, table in tables.items():
        if dataclasses.is_dataclass(table) and key in hints_of(table):
            return f"into [{name}]"
    return None


def _read_rules(tables: Any, where: str) -> StreamRules:
    if not isinstance(tables, list):
        raise InvalidArgument(f"{where}: streams is a list of tables: write [[streams]] above each rule")
    return StreamRules([_read_rule(table, f"{where}: [[streams]] number {n}") for n, table in enumerate(tables, 1)])


def _read_rule(table: Mapping[str, Any], where: str) -> tuple[Pattern, StreamConfig]:
    rest = dict(table)
    text = rest.pop(_PATTERN, None)
    if not isinstance(text, str):
        raise InvalidArgument(f"{where} has no pattern: add the names of its streams, such as pattern = 'wf-42/**'")
    try:
        pattern = compile_pattern(text)
    except RequestRefused as refusal:
        raise InvalidArgument(f"{where}: {refusal.message}") from None
    if is_address(text):
        raise InvalidArgument(f"{where}: {text} is an address: a rule is for streams")
    return pattern, read_table(StreamConfig, rest, f"{where} ({text})")


def _lines(table: Mapping[str, Any], name: str, *, repeated: bool = False) -> Iterator[str]:
    """Yield the lines of a table as TOML: its values, then its inner tables."""
    if repeated:
        yield f"[[{name}]]"
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    for key, value in table.items():
        if key not in inner:
            # The JSON of strings, numbers, booleans and lists of them is TOML, too.
            yield f"{key} = {json.dumps(value)}"
    for key, value in inner.items():
        path = f"{name}.{key}" if name else key
        yield ""
        yield f"[{path}]"
        yield from _lines(value, path)
