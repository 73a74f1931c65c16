"""The gateway is told what messages cost and how far the program is behind, and nothing while nothing comes."""

from __future__ import annotations

import pytest

from gateway.client import Client, connect
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.signals import ProgramPosition, ReceiverReport
from gateway.protocol.wire import Opcode
from tests.client.frames import message
from tests.client.scripted_gateway import Peer, ScriptedGateway
from tests.client.waiting import until
from tests.connections.frames import message_frame


async def reported(peer: Peer) -> ReceiverReport:
    received = await peer.next(Opcode.REPORT)
    return ReceiverReport.parse(received.message, received.frame)


def beat(client: Client) -> None:
    """What the heartbeat does before each PING."""
    client._core.beating()


async def test_a_client_that_gets_nothing_reports_nothing(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*"):
        peer = await scripted.accept()
        for _ in range(3):
            beat(client)
        peer.send(StreamInfo(1, "wf/a", Kind.EVENT, 5, 0), message(0, 0, stream=1))
        await until(lambda: bool(client._core.subscriptions.load.unread(client._core.now_ns())[0]))
        beat(client)
        report = await reported(peer)
        assert report.unread_bytes > 0


async def test_unread_messages_are_reported_until_the_program_has_taken_them(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*") as messages:
        peer = await scripted.accept()
        peer.send(StreamInfo(1, "wf/a", Kind.EVENT, 5, 0), *[message(offset, offset, stream=1) for offset in range(4)])
        await until(lambda: messages.stats.received == 4)
        for _ in range(2):
            beat(client)
        first, second = await reported(peer), await reported(peer)
        assert first.unread_bytes == second.unread_bytes == messages.stats.buffered_bytes > 0
        assert (first.positions, second.positions) == ((ProgramPosition(1, 4, 0),), ())
        assert 0 < first.unread_ns < second.unread_ns
        assert (client.link.unread_s or 0) > 0
        for _ in range(4):
            await anext(messages)
        for _ in range(2):
            beat(client)
        assert await reported(peer) == ReceiverReport(0, 0, 0, 0)
        assert client.link.unread_s == 0
        peer.send(message(4, 4, stream=1))
        await anext(messages)
        beat(client)
        peer.send(message(5, 5, stream=1))
        await until(lambda: messages.stats.received == 6)
        beat(client)
        report = await reported(peer)
        assert report.unread_bytes > 0
        assert report.positions == (ProgramPosition(1, 1, 5),)


async def test_messages_that_came_together_are_taken_one_by_one(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*") as messages:
        peer = await scripted.accept()
        peer.send(StreamInfo(1, "wf/a", Kind.EVENT, 5, 0), *[message(offset, offset, stream=1) for offset in range(9)])
        await until(lambda: messages.stats.received == 9)
        seen = []
        for _ in range(9):
            await anext(messages)
            beat(client)
            report = await reported(peer)
            seen.append((report.unread_bytes, [(position.behind, position.offset) for position in report.positions]))
        sizes = [unread_bytes for unread_bytes, _ in seen]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] == 0 < sizes[-2]
        assert [positions for _, positions in seen] == [*[[(9 - taken, taken)] for taken in range(1, 9)], []]
        assert messages.stats.buffered_bytes == 0


async def test_positions_are_told_anew_on_a_new_connection(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*") as messages:
        peer = await scripted.accept()
        peer.send(StreamInfo(1, "wf/a", Kind.EVENT, 5, 0), *[message(offset, offset, stream=1) for offset in range(4)])
        await until(lambda: messages.stats.received == 4)
        beat(client)
        assert (await reported(peer)).positions == (ProgramPosition(1, 4, 0),)
        peer.drop()
        peer = await scripted.accept()
        await peer.next(Opcode.SUBSCRIBE)
        await anext(messages)
        peer.send(StreamInfo(3, "wf/a", Kind.EVENT, 5, 4, since=4), message(4, 4, stream=3))
        await until(lambda: messages.stats.received == 5)
        beat(client)
        assert (await reported(peer)).positions == (ProgramPosition(3, 4, 1),)


async def test_decode_time_is_reported_once(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*") as messages:
        peer = await scripted.accept()
        assert client.link.decode_s_per_byte is None
        peer.send(StreamInfo(1, "wf/a", Kind.EVENT, 5, 0), message_frame(1, 0, bytes(8192), chain=Chain.parse("zstd")))
        assert (await anext(messages)).tensor.nbytes == 8192
        for _ in range(2):
            beat(client)
        report = await reported(peer)
        assert (report.decoded_bytes, report.unread_bytes) == (8192, 0)
        assert client.link.decode_s_per_byte == pytest.approx(report.decode_ns / 1e9 / 8192)
