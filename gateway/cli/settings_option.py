"""Options of ``frys serve`` that set one field of the settings each."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import click

from gateway.config import Settings

DEFAULTS: Final = Settings()


class SettingsOption(NamedTuple):
    """Option for a field of :class:`~gateway.config.settings.Settings`, whose type and default it has."""

    name: str
    field: str
    """Path of the field, such as ``core.limits.max_message_bytes``."""
    metavar: str
    help: str
    minimum: int | None = None
    maximum: int | None = None

    @property
    def default(self) -> Any:
        """Default of the field."""
        return operator.attrgetter(self.field)(DEFAULTS)

    @property
    def type(self) -> click.ParamType[Any] | type[Any]:
        """Type of the field, with the bounds of the option."""
        kind = type(self.default)
        if self.minimum is None:
            return kind
        return (click.IntRange if kind is int else click.FloatRange)(self.minimum, self.maximum)

    def declare(self, command: Callable[..., int]) -> Callable[..., int]:
        """Add the option to a function of which a command is made."""
        name = f"--{self.name.replace('_', '-')}"
        option = click.option(name, default=self.default, type=self.type, metavar=self.metavar, help=self.help)
        return option(command)


# fmt: off
OPTIONS: Final = tuple(SettingsOption(*row) for row in (
    ("host", "host", "HOST", "Address of both ports; 0.0.0.0 for all networks."),
    ("port", "port", "PORT", "Port for WebSockets; 0 picks a free one.", 0, 65535),
    ("admin_port", "admin_port", "PORT", "Port for health, metrics and the HTTP API; 0 picks a free one.", 0, 65535),
    ("keys", "security.keys", "PLACE", "Keys of tokens: file:PATH or env:NAME. Without, everybody is admitted."),
    ("store", "store", "STORE", "Place of streams: memory, or sqlite:PATH for streams that outlive the gateway."),
    ("drain_deadline", "drain_deadline_s", "SECONDS", "Longest time that stopping and its last deliveries take.", 0),
    ("max_connections", "core.max_connections", "N", "Connections at once; further ones are refused.", 1),
    ("max_message_bytes", "core.limits.max_message_bytes", "BYTES", "Size of the largest message accepted.", 1),
    ("outbox_bytes", "core.delivery.outbox_limit_bytes", "BYTES", "Most that is queued for one slow receiver.", 1),
    ("worker_threads", "worker_threads", "N", "Threads that compress large messages.", 1),
))
# fmt: on


def with_settings_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add each of :data:`OPTIONS` to a function of which a command is made, before its other options."""
    for option in reversed(OPTIONS):  # as decorators, which add the last option first
        command = option.declare(command)
    return command


def with_given_options(settings: Settings, context: click.Context, options: dict[str, Any]) -> Settings:
    """Return the settings with the values of those options that are on the command line."""
    for option in OPTIONS:
        source = context.get_parameter_source(option.name)
        if source is not None and source.name == "COMMANDLINE":
            settings = _replaced(settings, option.field, options[option.name])
    return settings


def _replaced(value: Any, path: str, new: object) -> Any:
    """Return a dataclass with another value in the field at ``path``."""
    name, _, rest = path.partition(".")
    return replace(value, **{name: _replaced(getattr(value, name), rest, new) if rest else new})
