"""Options for single settings: they override a file, and say what holds without them."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from gateway.cli.settings_option import OPTIONS, SettingsOption, with_given_options, with_settings_options
from gateway.config import Settings
from gateway.config.file import settings_of

FILE = settings_of({"port": 9000, "max_connections": 7, "limits": {"max_message_bytes": 1000}}, "frys.toml")


def settings_by(*arguments: str, base: Settings = FILE) -> Settings:
    """The settings of a command line over those of a file."""
    found: list[Settings] = []

    @click.command
    @with_settings_options
    @click.pass_context
    def command(context: click.Context, /, **options: Any) -> int:
        found.append(with_given_options(base, context, options))
        return 0

    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code == 0, result.output
    (settings,) = found
    return settings


def test_without_options_the_file_holds() -> None:
    assert settings_by() == FILE


def test_an_option_overrides_the_file_and_leaves_the_rest_of_it() -> None:
    settings = settings_by("--max-message-bytes", "2000", "--host", "::1")
    assert settings.core.limits.max_message_bytes == 2000
    assert (settings.host, settings.port, settings.core.max_connections) == ("::1", 9000, 7)


def test_an_option_with_the_default_value_overrides_the_file_too() -> None:
    assert settings_by("--port", str(Settings().port)).port == Settings().port


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_sets_its_field_and_shows_its_default(option: SettingsOption) -> None:
    default = option.default
    name = f"--{option.name.replace('_', '-')}"
    value = {"store": "memory", "keys": "env:KEYS"}.get(option.name, "3")
    settings: Any = settings_by(name, value, base=Settings())
    for part in option.field.split("."):
        settings = getattr(settings, part)
    assert settings == type(default)(value)
    assert type(settings) is type(default)
