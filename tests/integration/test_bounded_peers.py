"""Clients at the bounds of a gateway with small limits: they are told so, and others go on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway.client import View, connect
from gateway.config import Settings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code, RequestRefused
from gateway.protocol.limits import Limits
from gateway.testing import running_gateway

FIELD = np.arange(10_000, dtype=np.float32)
DEFAULTS = Settings(admin_port=None, drain_deadline_s=1.0)


def settings_of(limits: Limits, max_consumers: int = 100) -> Settings:
    return replace(DEFAULTS, core=CoreSettings(limits=limits, consumers=ConsumerSettings(max_consumers=max_consumers)))


@pytest.mark.parametrize(
    "limits", [Limits(max_connection_view_bytes=FIELD.nbytes), Limits(max_view_bytes=FIELD.nbytes)]
)
async def test_one_view_too_many_is_refused_and_the_others_go_on(limits: Limits) -> None:
    async with (
        running_gateway(settings_of(limits)) as gateway,
        connect(gateway.url) as publisher,
        connect(gateway.url) as viewer,
    ):
        await publisher.publish("wf/field", FIELD, kind="state")
        async with viewer.subscribe("wf/field", view=View(np.s_[1:])) as first:
            assert (await anext(first)).tensor.tolist() == FIELD[1:].tolist()
            with pytest.raises(RequestRefused) as refused:
                async with viewer.subscribe("wf/field", view=View(np.s_[2:])):
                    pass
            assert refused.value.code == Code.LIMIT_EXCEEDED
            await publisher.publish("wf/field", FIELD + 1, kind="state")
            assert (await anext(first)).tensor.tolist() == (FIELD + 1)[1:].tolist()


async def test_a_state_that_compresses_too_well_beside_others_is_refused_and_taken_plain() -> None:
    zeros = np.zeros(1_000_000, np.float32)
    limits = Limits(max_expanded_bytes=zeros.nbytes)
    async with running_gateway(settings_of(limits)) as gateway, connect(gateway.url) as client:
        await client.publish("wf/one", zeros, kind="state", codec="zstd")
        with pytest.raises(RequestRefused) as refused:
            await client.publish("wf/other", zeros, kind="state", codec="zstd")
        assert refused.value.code == Code.LIMIT_EXCEEDED
        assert (await client.publish("wf/other", zeros, kind="state", codec="none")).offset == 0


async def test_a_client_that_would_receive_too_many_streams_is_told_which_it_does_not() -> None:
    errors: list[Exception] = []
    async with (
        running_gateway(settings_of(Limits(max_subscribed_streams=2))) as gateway,
        connect(gateway.url) as publisher,
        connect(gateway.url, on_error=errors.append) as reader,
    ):
        for name in ("a", "b", "c"):
            await publisher.publish(f"wf/{name}", FIELD, kind="state")
        async with reader.subscribe("wf/*") as messages:
            assert {(await anext(messages)).stream for _ in range(2)} == {"wf/a", "wf/b"}
            await publisher.publish("wf/a", FIELD, kind="state")
            assert (await anext(messages)).offset == 1
    assert ["wf/c" in str(error) and "max_subscribed_streams=2" in str(error) for error in errors] == [True]


async def test_one_consumer_too_many_is_told_and_costs_the_others_nothing() -> None:
    errors: list[Exception] = []
    async with (
        running_gateway(settings_of(Limits(), max_consumers=1)) as gateway,
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="worker") as worker,
        connect(gateway.url, client_id="late", on_error=errors.append) as late,
        worker.subscribe("wf/tasks") as tasks,
    ):
        await publisher.publish("wf/tasks", FIELD, kind="collaboration")
        async with late.subscribe("wf/tasks"):
            message = await anext(tasks)
            await message.ack()
    assert ["max_consumers=1" in str(error) for error in errors] == [True]
