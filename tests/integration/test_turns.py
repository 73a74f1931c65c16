"""One client has very much handled, over real sockets: others have their turns meanwhile, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.protocol.messages import Kind
from gateway.protocol.signals import Ping, Pong
from gateway.testing import running_gateway
from tests.connections.frames import message_frame
from tests.integration.peer import publisher_of, raw_peer, subscriber_of, until

FRAMES = 10_000


def message(sequence: int) -> bytes:
    return b"".join(message_frame(0, sequence, b"%d" % sequence))


async def test_others_are_served_while_very_many_frames_of_one_message_are_handled() -> None:
    async with (
        running_gateway() as gateway,
        raw_peer(gateway.url, "flood") as flood,
        subscriber_of(gateway.url, "by/stander", "subscriber") as subscriber,
        publisher_of(gateway.url, "by/stander") as publisher,
    ):
        session = gateway.core.pool.newest_of("flood")
        assert session is not None
        await flood.send(*[Ping(number).write() for number in range(FRAMES)])
        await until(lambda: session.pending is not None)
        await publisher.publish(0, b"still here", ack=True)
        await subscriber.until(lambda reader: reader.arrivals)
        assert session.pending is not None
        await flood.until(lambda reader: len(pongs(reader.log)) == FRAMES)
        assert pongs(flood.reader.log) == list(range(FRAMES))
        assert session.pending is None


def pongs(log: Sequence[object]) -> list[int]:
    """What the PINGs had in them that have been answered."""
    return [entry.t0 for entry in log if isinstance(entry, Pong)]


async def test_what_a_publisher_sent_before_it_was_cut_off_arrives() -> None:
    async with running_gateway() as gateway, subscriber_of(gateway.url, "wf/*", "subscriber") as subscriber:
        async with raw_peer(gateway.url, "publisher") as publisher:
            await publisher.open(0, "wf/a", Kind.EVENT)
            session = gateway.core.pool.newest_of("publisher")
            assert session is not None
            pings = [Ping(number).write() for number in range(FRAMES)]
            await publisher.send(*pings, *map(message, range(1, 1001)))
            await until(lambda: session.pending is not None)
            publisher.reset()
        await subscriber.until(lambda reader: len(reader.arrivals) == 1000)
        assert [arrival.payload for arrival in subscriber.reader.arrivals] == [b"%d" % n for n in range(1, 1001)]
        await until(lambda: session not in list(gateway.core.pool))
