"""Trial of a configuration: a gateway with the settings serves clients of the SDK for a moment.

A setting with which no client can work is found by what the clients cannot do, whatever the setting is. The trial uses
free ports, and a store of its own that it removes again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from gateway.app import Gateway
from gateway.client import Client, Inbox, Message, Subscription, View, connect
from gateway.config import Settings
from gateway.config.settings import MEMORY
from gateway.connections.core_settings import CoreSettings
from gateway.errors import InvalidArgument, StoreFailed
from gateway.ids import StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.schema import Schema
from gateway.protocol.tensors import Array
from gateway.security.key_ring import KeyRing
from gateway.security.settings import SecuritySettings
from gateway.streams.rules import StreamConfig
from gateway.streams.sqlite.file_format import check_header, check_log
from gateway.streams.sqlite.lock import check_kind, check_names

STEP_TIMEOUT_S: Final = 5.0
"""Longest time of one step of a client."""

LEAST_COUNT: Final = 64
"""Streams, connections and the like that the trial needs: a lower limit is somebody's choice, not a mistake."""

MANY: Final = 200
"""Messages that a client publishes without waiting: several record batches."""

MANY_BYTES: Final = 1000
"""Size of each of them."""

_COUNTS: Final = ("max_aliases", "max_subscriptions", "max_requests", "max_streams")

_LARGEST_EXAMPLE_BYTES: Final = 64 * 1024 * 1024
"""Largest message that the trial makes for the schema of a rule."""


async def try_settings(settings: Settings) -> None:
    """Start a gateway with these settings, and let clients connect, publish, receive, acknowledge, ask and reply.

    Raises:
        InvalidArgument: a client cannot do its work. The message says what fails, and names the setting whose default
            cures it, if a single one does.
    """
    _check_store(settings.store_path)
    if settings.security.keys:
        KeyRing(settings.security.keys, 0.0)
    problem = await _problem_with(settings)
    if problem is None:
        return
    for key, value, cured in _with_one_default(settings):
        if await _problem_with(cured) is None:
            raise InvalidArgument(f"with {key} = {value!r} {problem}")
    raise InvalidArgument(f"with these settings {problem}")


def _check_store(path: Path | None) -> None:
    """Check that the file of durable streams can be used, without a touch: a gateway may be using it."""
    if path is None:
        return
    real = Path(os.path.realpath(path))
    try:
        check_kind(path)
        if not real.parent.is_dir():
            raise StoreFailed(f"store {path}: the directory {real.parent} does not exist: create it")
        for needed in (real.parent, real):
            if os.path.exists(needed) and not os.access(needed, os.R_OK | os.W_OK):
                raise StoreFailed(f"store {path}: this user may not write {needed}")
        check_names(path)
        check_log(real)
        check_header(real)
    except (StoreFailed, OSError) as error:
        raise InvalidArgument(str(error)) from error


async def _problem_with(settings: Settings) -> str | None:
    """Return the first thing that a client cannot do; ``None`` if there is none."""
    step = _Step()
    silenced = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        async with _running(settings, step) as (publisher, receiver):
            await _work(settings, step, publisher, receiver)
    except Exception as error:  # noqa: BLE001 - everything that goes wrong here is a problem of the settings
        return f"{step.name} fails: {str(error) or type(error).__name__}"
    finally:
        logging.disable(silenced)
    return None


class _Step:
    """Step of the trial that is under way, for the message about its failure."""

    name = "the start of a gateway"


@asynccontextmanager
async def _running(settings: Settings, step: _Step) -> AsyncIterator[tuple[Client, Client]]:
    """Run a gateway with the settings, and two clients of it."""
    with TemporaryDirectory() as directory:
        gateway = Gateway(_for_trial(settings, Path(directory)))
        try:
            await gateway.start()
            step.name = "the connection of a client"
            async with (
                asyncio.timeout(STEP_TIMEOUT_S),
                connect(gateway.url, client_id="trial-publisher", backoff=None) as publisher,
                connect(gateway.url, client_id="trial-receiver", backoff=None) as receiver,
            ):
                yield publisher, receiver
        finally:
            await gateway.stop()


def _for_trial(settings: Settings, directory: Path) -> Settings:
    core, limits = settings.core, settings.core.limits
    counts = {name: max(LEAST_COUNT + len(core.rules.rules), getattr(limits, name)) for name in _COUNTS}
    core = replace(core, max_connections=max(LEAST_COUNT, core.max_connections), limits=replace(limits, **counts))
    store = MEMORY if settings.store_path is None else f"sqlite:{directory}/trial.db"
    admin_port = None if settings.admin_port is None else 0
    optimizer = replace(settings.optimizer, history_dir="")  # its traffic is none of the operator's
    # Its clients have no tokens, and there is nothing that others could read.
    security = SecuritySettings(insecure=True)
    ports = replace(settings, port=0, admin_port=admin_port)
    return replace(ports, core=core, store=store, optimizer=optimizer, security=security, drain_deadline_s=1.0)


async def _work(settings: Settings, step: _Step, publisher: Client, receiver: Client) -> None:
    rules, limits = settings.core.rules, settings.core.limits
    for kind in Kind:
        name = StreamName(f"frys-trial/{kind}")
        if rules.of(name).kind in (None, kind) and rules.of(name).schema is None:
            step.name = f"a message on a stream of kind {kind}"
            await _exchange(publisher, receiver, name, kind, np.ones(1, np.uint8))
    for pattern, config in rules.rules:
        name = _example_of(pattern.text)
        tensors = _tensors_for(config)
        if rules.of(name) is config and tensors is not None:
            step.name = f"a message on stream {name}, which the rule of {pattern.text} is for"
            await _exchange(publisher, receiver, name, _kind_of(config), tensors)
    large = np.random.default_rng(0).bytes(min(limits.max_message_bytes, 2 * limits.chunk_bytes + 1000))
    free = next((kind for kind in Kind if rules.of(StreamName(f"frys-trial/{kind}")).schema is None), None)
    if free is not None:
        step.name = f"a message of {len(large)} bytes"
        name = StreamName(f"frys-trial/{free}")
        kind = rules.of(name).kind or free
        await _exchange(publisher, receiver, name, kind, np.frombuffer(large, np.uint8))
        if not kind.acknowledged:  # too many at once for a receiver of commands
            step.name = f"{MANY} messages of publish_nowait"
            await _exchange_many(publisher, receiver, name, kind, np.frombuffer(large[:MANY_BYTES], np.uint8))
    await _ask(step, publisher, receiver)
    state = StreamName(f"frys-trial/{Kind.STATE}")
    if limits.max_views and rules.of(state) == StreamConfig():
        step.name = "a view of a stream"
        async with receiver.subscribe(state, view=View(slice=np.s_[:1])) as messages:
            await anext(messages)


async def _exchange(
    publisher: Client, receiver: Client, name: str, kind: Kind, value: Array | dict[str, Array]
) -> None:
    async with receiver.subscribe(name) as messages:
        # At the same time, because a publish may have to wait until the receiver has acknowledged.
        publish = publisher.publish(name, value, kind=kind, codec="none", timeout_s=STEP_TIMEOUT_S)
        tasks = [asyncio.create_task(publish), asyncio.create_task(_receive(messages))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()


async def _exchange_many(publisher: Client, receiver: Client, name: str, kind: Kind, value: Array) -> None:
    """Publish without waiting for acknowledgements; the SDK makes record batches of such messages."""
    async with receiver.subscribe(name) as messages:
        for _ in range(MANY - 1):
            publisher.publish_nowait(name, value, kind=kind)
        publisher.publish_nowait(name, value, kind=kind, headers={"last": True})
        while not (await _receive(messages)).headers:
            pass


async def _receive(messages: Subscription) -> Message:
    message = await asyncio.wait_for(anext(messages), STEP_TIMEOUT_S)
    await message.ack()
    return message


async def _ask(step: _Step, asker: Client, replier: Client) -> None:
    for group in (None, "frys-trial"):
        address = f"agent:{replier.client_id}" if group is None else f"group:{group}"
        step.name = f"a request to {address}"
        async with replier.inbox(group=group) as inbox:
            replying = asyncio.create_task(_reply_once(inbox))
            try:
                await asker.request(address, np.ones(1, np.uint8), timeout_s=STEP_TIMEOUT_S)
            finally:
                replying.cancel()


async def _reply_once(inbox: Inbox) -> None:
    request = await anext(inbox)
    await request.reply(request.tensor)


def _kind_of(config: StreamConfig) -> Kind:
    return config.kind or (Kind.STATE if config.schema is not None else Kind.EVENT)


def _example_of(pattern: str) -> StreamName:
    """Return a stream that the pattern matches."""
    name = pattern.replace("**", "*").replace("*", "t")  # short: a pattern may have many segments
    return StreamName(name if "/" in name else f"frys-trial/{name}")


def _tensors_for(config: StreamConfig) -> Array | dict[str, Array] | None:
    schema = config.schema
    return np.ones(1, np.uint8) if schema is None else _smallest(schema)


def _smallest(schema: Schema) -> dict[str, Array] | None:
    """Return the smallest tensors that the schema allows; ``None`` if they are too large for a trial."""
    shapes = [tuple(size or 0 for size in tensor.shape) for tensor in schema.tensors]
    if sum(math.prod(shape) for shape in shapes) > _LARGEST_EXAMPLE_BYTES:
        return None
    return {tensor.name: np.zeros(shape, tensor.dtype) for tensor, shape in zip(schema.tensors, shapes, strict=True)}


def _with_one_default(settings: Settings) -> Iterator[tuple[str, object, Settings]]:
    """Yield each key with another value than its default, the value, and the settings with the default for it."""
    for name, value, core in _defaults_in(settings.core, CoreSettings(), ""):
        yield name, value, replace(settings, core=core)
    default = Settings()
    for name in ("host", "worker_threads"):
        value = getattr(settings, name)
        if value != getattr(default, name):
            yield name, value, replace(settings, **{name: getattr(default, name)})


def _defaults_in(changed: Any, default: Any, path: str) -> Iterator[tuple[str, object, Any]]:
    for field in dataclasses.fields(changed):
        value, usual = getattr(changed, field.name), getattr(default, field.name)
        if field.name == "rules" or value == usual:
            continue
        if dataclasses.is_dataclass(value):
            for key, inner, cured in _defaults_in(value, usual, f"{path}{field.name}."):
                yield key, inner, replace(changed, **{field.name: cured})
        else:
            yield f"{path}{field.name}", value, replace(changed, **{field.name: usual})
