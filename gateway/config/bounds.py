"""Bounds of the settings: against each other and against the protocol.

A value alone is checked when its settings are made; these checks need several values, or do not hold for the small
cores of which a gateway is tested.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Final

from gateway.config.address import is_loopback
from gateway.config.directories import check_directory
from gateway.config.settings import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import InvalidArgument
from gateway.protocol.durability import Durability
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.schema import Schema
from gateway.protocol.wire import CHUNK_BYTES_MULTIPLE, MAX_CHUNK_BYTES, MAX_HEADERS_BYTES, MIN_CHUNK_BYTES
from gateway.streams.rules import StreamConfig

MAX_SECONDS: Final = 1e9
"""Longest time, some 30 years: its nanoseconds after any date of today fit the 64 bits that they have on the wire."""

MIN_SECONDS: Final = 0.01
"""Shortest time: below it, a loop that is busy for a moment would be taken for a peer that is dead."""

MAY_BE_ZERO: Final = frozenset(
    {"delivery.max_event_hold_s", "history.max_age_s", "presence.grace_s", "admission.idle_timeout_s"}
)
"""Times of which 0 is none: nobody is waited for, and no history is kept."""

LEAST_OBJECTIVE_S: Final = 0.002
"""Shortest latency objective: half of it is the shortest flush window."""

MAX_INTEGER: Final = 2**53 - 1
"""Highest integer that every JSON parser reads exactly."""

MIN_MEMORY_LIMIT_BYTES: Final = 128 * 1024 * 1024
"""Lowest limit of the resident memory: a process that does nothing has 70 MB, which is no overload then."""

FRAME_ROOM_BYTES: Final = MAX_HEADERS_BYTES + 8192
"""Bytes of a frame beside the payload: the longest headers, descriptors and blocks."""


def check_settings(settings: Settings) -> None:
    """Check that a gateway with these settings can work.

    Raises:
        InvalidArgument: it cannot; the message names the key, its value, and the values that it takes.
    """
    check_start(settings)
    core = settings.core
    _check_highest("drain_deadline_s", settings.drain_deadline_s)
    _check_numbers(core)
    for key, value, lowest in _lowest(core):
        if value < lowest:
            raise InvalidArgument(f"{key} is {value}: it takes {lowest} or more")
    _check_sizes(core.limits)
    memory_limit_bytes = core.overload.memory_limit_bytes
    if 0 < memory_limit_bytes < MIN_MEMORY_LIMIT_BYTES:
        problem = f"overload.memory_limit_bytes is {memory_limit_bytes}: it takes {MIN_MEMORY_LIMIT_BYTES} or more"
        raise InvalidArgument(f"{problem}, since the process itself needs some 70 MB, or 0 for a share of the machine")
    consumers = core.consumers
    if consumers.hold_bytes > consumers.limit_bytes:
        problem = f"consumers.hold_bytes is {consumers.hold_bytes}, above consumers.limit_bytes {consumers.limit_bytes}"
        raise InvalidArgument(f"{problem}: publishers would be refused before they are slowed down")
    for pattern, config in core.rules.rules:
        _check_numbers(config, f" of streams {pattern.text}")
        _check_schema(config, pattern.text, core.limits)


def check_start(settings: Settings) -> None:
    """Check what keeps a gateway from starting: strangers would be admitted, one port has two purposes, or there is no
    place for streams or a history.

    Raises:
        InvalidArgument: it cannot start; the message names the host, the port, the streams, or the directory.
    """
    security = settings.security
    if not (security.keys or security.insecure or is_loopback(settings.host)):
        problem = f"host {settings.host or '(all addresses)'} may be reached from other machines"
        keys = "give the keys of their tokens (--keys file:PATH; frys keys generate makes some)"
        otherwise = "or listen on 127.0.0.1; --insecure is for a network in which everybody may do everything"
        raise InvalidArgument(f"{problem}, and everybody from there would be admitted: {keys}, {otherwise}")
    if settings.port and settings.port == settings.admin_port:
        raise InvalidArgument(f"port and admin_port are both {settings.port}: give each a port of its own")
    for pattern, config in settings.core.rules.rules:
        if settings.store_path is None and config.durability not in (None, Durability.MEMORY):
            problem = f"streams {pattern.text} have durability {config.durability}, but streams are kept in memory"
            raise InvalidArgument(f"{problem}: set store to sqlite:PATH")
        if config.store_payloads and settings.optimizer.history_path is None:
            problem = f"streams {pattern.text} have store_payloads, but there is no directory for them"
            raise InvalidArgument(f"{problem}: set history_dir in [optimizer]")
    if settings.optimizer.history_path is not None:
        check_directory("history_dir", settings.optimizer.history_path)


def _check_numbers(settings: CoreSettings | StreamConfig, where: str = "") -> None:
    """Check that all numbers are low enough, and times long enough."""
    for key, value in _numbers_of(settings, ""):
        _check_highest(key, value, where)
        lowest = 0 if key in MAY_BE_ZERO else LEAST_OBJECTIVE_S if key == "latency_objective_s" else MIN_SECONDS
        # A rate may be 0, too: then it has no bound.
        if key.endswith("_s") and not key.endswith("_per_s") and value < lowest:
            raise InvalidArgument(f"{key}{where} is {value}: it takes {lowest} or more")


def _check_highest(key: str, value: float, where: str = "") -> None:
    highest = MAX_SECONDS if key.endswith("_s") else MAX_INTEGER
    if not value <= highest:
        raise InvalidArgument(f"{key}{where} is {value}: it takes {highest:.0f} at most")


def _numbers_of(settings: Any, path: str) -> Iterator[tuple[str, float]]:
    """Yield all numbers of the settings, by their keys in the configuration file."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from _numbers_of(value, f"{path}{field.name}.")
        elif isinstance(value, int | float):
            yield f"{path}{field.name}", value


def _lowest(core: CoreSettings) -> Iterator[tuple[str, float, float]]:
    """Yield the keys below whose lowest value no client can work, with their values and these lowest values."""
    limits, requests = core.limits, core.requests
    yield "max_connections", core.max_connections, 1
    yield "limits.max_message_bytes", limits.max_message_bytes, 1
    yield "limits.max_aliases", limits.max_aliases, 1
    yield "limits.max_subscriptions", limits.max_subscriptions, 1
    yield "limits.max_subscribed_streams", limits.max_subscribed_streams, 1
    yield "limits.max_all_subscribed_streams", limits.max_all_subscribed_streams, 1
    yield "limits.max_transfers", limits.max_transfers, 1
    yield "limits.max_unfinished_bytes", limits.max_unfinished_bytes, 1
    yield "limits.max_all_unfinished_bytes", limits.max_all_unfinished_bytes, 1
    yield "limits.max_requests", limits.max_requests, 1
    yield "limits.max_streams", limits.max_streams, 1
    yield "limits.max_expanded_bytes", limits.max_expanded_bytes, 1
    yield "limits.max_view_bytes", limits.max_view_bytes, 1
    yield "limits.max_connection_view_bytes", limits.max_connection_view_bytes, 1
    yield "delivery.outbox_limit_bytes", core.delivery.outbox_limit_bytes, 1
    yield "delivery.urgent_limit_bytes", core.delivery.urgent_limit_bytes, MAX_HEADERS_BYTES
    yield "requests.kept_bytes_per_asker", requests.kept_bytes_per_asker, 1
    yield "requests.kept_bytes", requests.kept_bytes, 1


def _check_sizes(limits: Limits) -> None:
    chunk_bytes = limits.chunk_bytes
    if not MIN_CHUNK_BYTES <= chunk_bytes <= MAX_CHUNK_BYTES or chunk_bytes % CHUNK_BYTES_MULTIPLE:
        takes = f"it takes a multiple of {CHUNK_BYTES_MULTIPLE} from {MIN_CHUNK_BYTES} to {MAX_CHUNK_BYTES}"
        raise InvalidArgument(f"limits.chunk_bytes is {chunk_bytes}: {takes}")
    # Clients make smaller chunks than chunk_bytes says if a frame would be too large, down to the protocol's smallest.
    least = MIN_CHUNK_BYTES + FRAME_ROOM_BYTES
    if limits.max_frame_bytes < least:
        problem = f"limits.max_frame_bytes is {limits.max_frame_bytes}: it takes {least} or more"
        raise InvalidArgument(f"{problem}, for the smallest chunk, and for the longest headers of a message")


def _check_schema(config: StreamConfig, pattern: str, limits: Limits) -> None:
    if config.schema is None:
        return
    if config.kind not in (None, Kind.STATE):
        problem = f"streams {pattern} have kind {config.kind} and a schema"
        raise InvalidArgument(f"{problem}: only streams of kind {Kind.STATE} have schemas")
    smallest, largest = _smallest_bytes(config.schema), limits.max_message_bytes
    if smallest > largest:
        problem = f"streams {pattern} have a schema of {smallest} bytes, above limits.max_message_bytes {largest}"
        raise InvalidArgument(f"{problem}: no message could fit")


def _smallest_bytes(schema: Schema) -> int:
    """Return the payload bytes of the smallest message that a schema allows, padding not counted."""
    return sum(math.prod(size or 0 for size in tensor.shape) * tensor.dtype.itemsize for tensor in schema.tensors)
