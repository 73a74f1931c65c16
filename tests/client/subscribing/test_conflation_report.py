"""Tests when the gateway is told of the versions that a slow program has missed, and that both sides count the same."""

from __future__ import annotations

from gateway.client import Client, connect
from gateway.protocol.messages import Account, Counts, Kind, StreamInfo
from gateway.protocol.signals import Conflated
from gateway.protocol.wire import Opcode
from tests.client.frames import message
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway
from tests.client.waiting import until


def info(number: int, name: str) -> StreamInfo:
    return StreamInfo(number, name, Kind.STATE, 5, 0)


async def conflated(peer: Peer) -> Conflated:
    received = await peer.next(Opcode.CONFLATED)
    return Conflated.parse(received.message, received.frame)


def report(client: Client) -> None:
    client._core.subscriptions.report_conflated()


async def test_each_stream_is_reported_once(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*") as messages:
        peer = await scripted.accept()
        peer.send(info(1, "wf/a"), info(2, "wf/b"), *[message(offset, offset, stream=1) for offset in range(5)])
        peer.send(*[message(offset, offset, stream=2) for offset in range(3)])
        await until(lambda: messages.stats.received == 8)
        assert messages.account["wf/a"].client_conflated == 0
        for _ in range(2):
            report(client)
        assert [await conflated(peer), await conflated(peer)] == [Conflated(1, 4), Conflated(2, 2)]
        assert messages.account["wf/a"] == Counts(5, client_conflated=4)
        peer.send(message(5, 5, stream=1))
        await until(lambda: messages.stats.received == 9)
        report(client)
        assert await conflated(peer) == Conflated(1, 1)


async def test_a_report_of_many_streams_is_made_in_turns(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*") as messages:
        peer = await scripted.accept()
        for number in range(1, 6):
            peer.send(info(number, f"wf/{number}"), *[message(offset, offset, stream=number) for offset in range(3)])
        await until(lambda: messages.stats.received == 15)
        reports = client._core.subscriptions
        assert [reports.report_conflated(2) for _ in range(3)] == [True, True, False]
        assert [await conflated(peer) for _ in range(5)] == [Conflated(number, 2) for number in range(1, 6)]


async def test_subscriptions_to_a_stream_count_together(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*") as first, client.subscribe("wf/a") as second:
        peer = await scripted.accept()
        peer.send(info(1, "wf/a"), message(0, 0, stream=1))
        assert (await anext(second)).offset == 0
        peer.send(message(1, 1, stream=1), message(2, 2, stream=1))
        await until(lambda: first.stats.received == 3)
        report(client)
        assert await conflated(peer) == Conflated(1, 3)
        assert first.account == second.account == {"wf/a": Counts(3, client_conflated=3)}


async def test_a_report_waits_for_the_announcement_to_all_subscriptions(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*") as first:
        peer = await scripted.accept()
        peer.send(info(1, "wf/a"), message(0, 0, stream=1), message(1, 1, stream=1))
        await until(lambda: first.stats.received == 2)
        async with client.subscribe("wf/a") as second:
            report(client)
            assert first.account["wf/a"].client_conflated == 0
            peer.send(info(1, "wf/a"), message(2, 2, stream=1))
            await until(lambda: second.stats.received == 1)
            report(client)
            assert await conflated(peer) == Conflated(1, 2)
            assert second.account["wf/a"].client_conflated == first.account["wf/a"].client_conflated == 2


async def test_a_lost_connection_loses_no_report(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/*") as messages:
        peer = await scripted.accept()
        peer.send(info(1, "wf/a"), message(0, 0, stream=1), message(1, 1, stream=1))
        await until(lambda: messages.stats.received == 2)
        peer.drop()
        again = await scripted.accept()
        await again.next(Opcode.SUBSCRIBE)
        report(client)
        again.send(info(9, "wf/a"), message(2, 2, stream=9))
        await until(lambda: messages.stats.received == 3)
        report(client)
        assert await conflated(again) == Conflated(9, 2)


async def test_it_comes_before_the_question_for_an_account_and_before_the_end(scripted: ScriptedGateway) -> None:
    def answer(peer: Peer, received: Received) -> None:
        asked = received.session()
        assert isinstance(asked, Account)
        peer.send(Account(asked.request, asked.subscription, {}))

    scripted.answers[Opcode.ACCOUNT] = answer
    async with connect(scripted.url) as client:
        async with client.subscribe("wf/*") as messages:
            peer = await scripted.accept()
            peer.send(info(1, "wf/a"), message(0, 0, stream=1), message(1, 1, stream=1))
            await until(lambda: messages.stats.received == 2)
            await client.account(messages)
            first = await peer.next(Opcode.CONFLATED, Opcode.ACCOUNT)
            peer.send(message(2, 2, stream=1))
            await until(lambda: messages.stats.received == 3)
        last = await peer.next(Opcode.CONFLATED, Opcode.UNSUBSCRIBE)
        assert (first.opcode, last.opcode) == (Opcode.CONFLATED, Opcode.CONFLATED)
