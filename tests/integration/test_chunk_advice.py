"""Advice about chunks: a real publisher follows it from its next large message on, and what arrives is the same."""

from __future__ import annotations

from random import Random

import numpy as np

from gateway.client import Notice, connect
from gateway.connections.latency.stream_latency import StreamLatency
from gateway.connections.planning.adjust import SettingChange
from gateway.connections.planning.knob import Knob, Site
from gateway.testing import running_gateway

MIB = 1 << 20


async def test_a_publisher_cuts_as_it_is_advised_and_as_before_when_that_is_over() -> None:
    field = np.random.default_rng(1).standard_normal(5 * MIB // 4).astype(np.float32)
    told: list[Notice] = []
    async with (
        running_gateway() as gateway,
        connect(gateway.url, on_notice=told.append) as publisher,
        connect(gateway.url) as receiver,
        receiver.subscribe("wf/field") as messages,
    ):
        await publisher.publish("wf/field", np.float32(0), kind="event")
        await anext(messages)
        core = gateway.core
        stream = next(each for each in core.streams if each.name == "wf/field")
        latency = StreamLatency(core.hub.fanouts.pubsub_of(stream), core.clock, Random(1))
        session = next(each for each in core.pool if each.peer.client_id == publisher.client_id)
        site = Site(Knob.CHUNK_SIZE, "wf/field", session.peer.id)
        sizes = []
        for advised in (0, 2 * MIB, 0):
            assert core.planning.actuator.set(SettingChange(site, advised, "a test"))
            await publisher.publish("wf/behind", 0.0)  # its ACK comes behind the advice
            await publisher.publish("wf/field", field)
            assert np.array_equal((await anext(messages)).tensor, field)
            assert latency.newest is not None
            sizes.append(latency.newest.chunk_bytes)
        assert sizes == [MIB // 2, 2 * MIB, MIB // 2]
        assert latency.take()
    assert not told, "it is for the client itself"
