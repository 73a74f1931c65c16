"""``frys serve`` as a process: SIGTERM, and its memory."""

from __future__ import annotations

import signal

import psutil
import pytest

from gateway.errors import Code
from gateway.protocol.messages import GoAway
from gateway.testing import running_gateway_process
from tests.integration.peer import publisher_of, subscriber_of

MIB = 1024 * 1024


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_gateway_that_is_told_to_stop_delivers_what_is_queued(number: signal.Signals) -> None:
    with running_gateway_process() as gateway:
        async with (
            subscriber_of(gateway.url, "wf/*") as subscriber,
            publisher_of(gateway.url, "wf/event") as publisher,
        ):
            subscriber.stop_reading()
            for _ in range(20):
                await publisher.publish(0, bytes(400_000), ack=True)
            await publisher.until(lambda reader: len(reader.acks) == 20)
            gateway.process.send_signal(number)
            await publisher.until(lambda reader: reader.leaving)
            subscriber.read_on()
            assert await subscriber.closing() == Code.GOING_AWAY
            assert await publisher.closing() == Code.GOING_AWAY
            assert subscriber.reader.offsets == list(range(20))
            (away,) = [entry for entry in subscriber.reader.log if isinstance(entry, GoAway)]
            assert away.deadline_s > 0
        assert gateway.process.wait(timeout=20) == 0
        assert gateway.process.stderr is not None
        assert "Traceback" not in gateway.process.stderr.read()


async def test_the_memory_of_a_gateway_stays_bounded_however_little_a_client_reads() -> None:
    """512 MB are published; a subscriber that reads nothing may hold back 64 MB of them."""
    with running_gateway_process() as gateway:
        process = psutil.Process(gateway.process.pid)
        async with (
            subscriber_of(gateway.url, "wf/*", "stuck") as stuck,
            publisher_of(gateway.url, "wf/event") as publisher,
        ):
            stuck.stop_reading()
            before = process.memory_info().rss
            payload = bytes(500 * 1000)
            for count in range(1, 1025):
                await publisher.publish(0, payload, ack=True)
                if count % 64 == 0:
                    await publisher.until(lambda reader, n=count: sum(ack.count for ack in reader.acks) == n)  # type: ignore[misc]
            assert process.memory_info().rss - before < 160 * MIB
            stuck.reset()
