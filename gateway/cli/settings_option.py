"""Options of ``frys serve`` that set one field of the settings each."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import typer

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
    def parameter(self) -> inspect.Parameter:
        """Parameter of a command, of which Typer makes the option."""
        default = operator.attrgetter(self.field)(DEFAULTS)
        option = typer.Option(default, metavar=self.metavar, help=self.help, min=self.minimum, max=self.maximum)
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=type(default))


# fmt: off
OPTIONS: Final = tuple(SettingsOption(*row) for row in (
    ("host", "host", "HOST", "Address of both ports; 0.0.0.0 for all networks."),
    ("port", "port", "PORT", "Port for WebSockets; 0 picks a free one.", 0, 65535),
    ("admin_port", "admin_port", "PORT", "Port for health, metrics and the HTTP API; 0 picks a free one.", 0, 65535),
    ("store", "store", "STORE", "Place of streams: memory, or sqlite:PATH for streams that outlive the gateway."),
    ("drain_deadline", "drain_deadline_s", "SECONDS", "Longest time that stopping and its last deliveries take.", 0),
    ("max_connections", "core.max_connections", "N", "Connections at once; further ones are refused.", 1),
    ("max_message_bytes", "core.limits.max_message_bytes", "BYTES", "Size of the largest message accepted.", 1),
    ("outbox_bytes", "core.delivery.outbox_limit_bytes", "BYTES", "Most that is queued for one slow receiver.", 1),
    ("worker_threads", "worker_threads", "N", "Threads that compress large messages.", 1),
))
# fmt: on


def with_settings_options(command: Callable[..., int]) -> Callable[..., int]:
    """Make Typer see a parameter for each of :data:`OPTIONS` in the place of the ``**options`` of a command."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [option.parameter for option in OPTIONS]
    parameters += [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    setattr(command, "__signature__", inspect.Signature(parameters))  # noqa: B010 - mypy knows no such attribute
    return command


def with_given_options(settings: Settings, context: typer.Context, options: dict[str, Any]) -> Settings:
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
