"""What becomes of publishes that the gateway refuses for now: sent again, in order, and not uploaded in vain."""

import asyncio

import pytest

from gateway.client import Backoff, pauses
from gateway.client.sending import alias, send_queue
from gateway.errors import Action, Code, RequestRefused, RequestTimeout
from gateway.protocol.data import parse_data
from gateway.protocol.messages import Error, Kind, StreamInfo
from gateway.protocol.signals import Abort, Ack, Resume
from gateway.protocol.wire import Opcode
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway
from tests.client.sending.test_stream_send_queue import LARGE, ack, chunks_of, connected, cut, data_of
from tests.client.waiting import until


def refuse(peer: Peer, sequence: int, count: int = 1, code: Code = Code.QUEUE_FULL) -> None:
    """The first stream's messages are refused."""
    info = StreamInfo(7, "wf/x", Kind.STATE, 5, 0, alias=0)
    peer.send(info, Error(code, code.name, "because", alias=0, sequence=sequence, count=count))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("code", [Code.QUEUE_FULL, Code.TRANSFER_TIMEOUT])
async def test_publishes_that_were_refused_for_now_are_sent_again_one_by_one_before_all_that_wait(
    scripted: ScriptedGateway, code: Code
) -> None:
    async with connected(scripted) as (client, peer):
        publishing = [asyncio.ensure_future(client.publish("wf/x", step)) for step in range(3)]
        frames = [await data_of(peer) for _ in range(3)]
        for sequence in (1, 2):
            refuse(peer, sequence, code=code)
        again = await data_of(peer)
        client.publish_nowait("wf/x", 3)
        publishing.append(asyncio.ensure_future(client.publish("wf/x", 4)))
        assert (again.offset, again.timestamp_ns) == (4, frames[0].timestamp_ns)
        ack(peer, 3, 0)
        await publishing[2]
        passed = [received for received in peer.waiting() if received.opcode == Opcode.MESSAGE]
        assert passed == [], "none passes a message that is sent again"
        ack(peer, 4, 1)
        assert (await publishing[0]).offset == 1
        assert (await data_of(peer)).timestamp_ns == frames[1].timestamp_ns
        refuse(peer, 5)
        again = await data_of(peer)
        assert (again.offset, again.timestamp_ns) == (6, frames[1].timestamp_ns)
        ack(peer, 6, 2)
        assert [(await data_of(peer)).offset for _ in range(2)] == [7, 8]
        ack(peer, 8, 4)
        assert [(await each).offset for each in publishing] == [1, 2, 0, 4]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("lost", [False, True])
async def test_a_publish_is_sent_again_to_a_stream_whose_state_was_forgotten_meanwhile(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch, *, lost: bool
) -> None:
    monkeypatch.setattr(alias, "KEPT_HOLDERS", 0)
    async with connected(scripted) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1))
        frame = await data_of(peer)
        peer.send(Error(Code.LIMIT_EXCEEDED, "LIMIT_EXCEEDED", "no more streams", alias=0))
        queues = client._core.publisher._queues
        await until(lambda: queues["wf/x"].forgettable)
        other = asyncio.ensure_future(client.publish("wf/other", 2))
        await data_of(peer)
        assert "wf/x" not in queues
        if lost:
            peer.drop()
            peer = await scripted.accept()
        else:
            peer.send(Error(Code.QUEUE_FULL, "QUEUE_FULL", "because", alias=0, sequence=1))
        while (again := await data_of(peer)).timestamp_ns != frame.timestamp_ns:
            pass
        peer.send(
            StreamInfo(7, "wf/x", Kind.STATE, 5, 0, alias=again.stream), Ack(again.stream, 1, again.offset, 3).write()
        )
        assert (await publishing).offset == 3
        other.cancel()


@pytest.mark.usefixtures("at_once")
async def test_a_refusal_that_comes_later_ends_no_wait_for_a_message_that_was_sent_again(
    scripted: ScriptedGateway,
) -> None:
    async with connected(scripted) as (client, peer):
        publishing = [asyncio.ensure_future(client.publish("wf/x", step)) for step in range(2)]
        frames = [await data_of(peer) for _ in range(2)]
        refuse(peer, 1)
        assert (await data_of(peer)).timestamp_ns == frames[0].timestamp_ns
        refuse(peer, 2)
        for sequence in range(1, 10):  # the second one waits until the first one is taken
            other = asyncio.ensure_future(client.publish("wf/other", None))
            assert (await data_of(peer)).stream == 1
            peer.send(StreamInfo(8, "wf/other", Kind.STATE, 5, 0, alias=1), Ack(1, 1, sequence, sequence - 1).write())
            await other
        ack(peer, 3, 0)
        assert (await publishing[0]).offset == 0
        assert (await data_of(peer)).timestamp_ns == frames[1].timestamp_ns
        ack(peer, 4, 1)
        assert (await publishing[1]).offset == 1


async def test_the_refusal_is_raised_once_the_time_limit_passes(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1, timeout_s=0.1))
        while not publishing.done():
            sent = asyncio.ensure_future(data_of(peer))
            await asyncio.wait([sent, publishing], return_when=asyncio.FIRST_COMPLETED)
            if sent.done():
                refuse(peer, sent.result().offset)
            else:
                sent.cancel()
        with pytest.raises(RequestRefused, match="because") as refused:
            await publishing
        assert refused.value.code == Code.QUEUE_FULL
        later = asyncio.ensure_future(client.publish("wf/x", 2))
        ack(peer, (await data_of(peer)).offset, 0)
        await later


async def test_a_publish_behind_a_refused_one_is_told_why_it_waits(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "AGAIN", Backoff(base_s=3600.0, cap_s=3600.0, later_s=3600.0))
    async with connected(scripted, close_timeout_s=0.1) as (client, peer):
        first = asyncio.ensure_future(client.publish("wf/x", 1, timeout_s=0.05))
        await data_of(peer)
        refuse(peer, 1)
        with pytest.raises(RequestRefused, match="because"):
            await first
        with pytest.raises(RequestRefused, match="because") as refused:
            await client.publish("wf/x", 2, timeout_s=0.05)
        assert refused.value.code == Code.QUEUE_FULL


@pytest.mark.usefixtures("at_once")
async def test_a_message_that_was_sent_again_and_not_answered_may_have_been_taken(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1, timeout_s=0.2))
        await data_of(peer)
        refuse(peer, 1)
        await data_of(peer)
        with pytest.raises(RequestTimeout, match="was sent"):
            await publishing


@pytest.mark.usefixtures("at_once")
async def test_a_message_that_was_sent_again_on_a_lost_connection_may_have_been_taken(
    scripted: ScriptedGateway,
) -> None:
    async with connected(scripted, backoff=Backoff(base_s=60, cap_s=60), close_timeout_s=0.1) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1, timeout_s=0.2))
        await data_of(peer)
        refuse(peer, 1)
        await data_of(peer)
        peer.drop()
        with pytest.raises(RequestTimeout, match=r"was sent, .* connection was lost; there has been no connection for"):
            await publishing


def refuse_heads(scripted: ScriptedGateway, count: int) -> None:
    """The first messages of the first stream are refused when their heads come, and the next ones taken."""

    def answer(peer: Peer, received: Received) -> None:
        head = parse_data(received.message, received.frame)
        if head.offset <= count:
            refuse(peer, head.offset)
        elif head.plan is not None and head.resuming:
            peer.send(Resume(head.plan.transfer, 0).write())

    scripted.answers[Opcode.MESSAGE] = answer


@pytest.mark.usefixtures("at_once")
async def test_a_large_message_whose_head_was_refused_for_now_is_begun_anew(scripted: ScriptedGateway) -> None:
    refuse_heads(scripted, 1)
    async with connected(scripted) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", LARGE, codec="none"))
        first, second = await data_of(peer), await data_of(peer)
        assert (first.offset, second.offset, first.resuming, second.resuming) == (1, 2, False, True)
        assert first.plan is not None
        assert second.plan is not None
        assert first.plan.transfer != second.plan.transfer
        assert await chunks_of(peer) == list(range(7))
        ack(peer, 2, 0)
        result = await publishing
        assert LARGE.nbytes < result.bytes_transmitted < LARGE.nbytes + 1000


@pytest.mark.usefixtures("at_once")
async def test_no_chunk_is_sent_in_vain_of_a_message_that_is_refused_again_and_again(scripted: ScriptedGateway) -> None:
    refuse_heads(scripted, 20)
    async with connected(scripted) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", LARGE, codec="none"))
        heads = [await data_of(peer) for _ in range(21)]
        assert [head.offset for head in heads] == list(range(1, 22))
        assert await chunks_of(peer) == list(range(7))
        assert not any(received.opcode == Opcode.CHUNK for received in peer.waiting())
        ack(peer, 21, 0)
        await publishing


@pytest.mark.usefixtures("at_once")
async def test_large_messages_that_were_refused_for_now_follow_each_other_when_they_are_taken(
    scripted: ScriptedGateway,
) -> None:
    async with connected(scripted) as (client, peer):
        publishing = [asyncio.ensure_future(client.publish("wf/x", LARGE + step, codec="none")) for step in range(2)]
        times = []
        for _ in publishing:
            times.append((await data_of(peer)).timestamp_ns)
            await chunks_of(peer)
        refuse(peer, 2, 2)
        for sequence, timestamp_ns in zip((3, 4), times, strict=True):
            again = await data_of(peer)
            assert (again.offset, again.timestamp_ns) == (sequence, timestamp_ns)
            assert again.plan is not None
            peer.send(Resume(again.plan.transfer, 0).write())
            await chunks_of(peer)
        ack(peer, 3, 0)
        ack(peer, 4, 1)
        assert [(await each).offset for each in publishing] == [0, 1]


@pytest.mark.usefixtures("at_once")
async def test_one_that_was_cut_and_is_refused_for_now_is_sent_again(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", LARGE, codec="none"))
        second = await cut(scripted, first, 1)
        assert (await data_of(second)).offset == 1
        refuse(second, 1)
        again = await data_of(second)
        assert (again.offset, again.resuming) == (2, True)
        assert again.plan is not None
        second.send(Resume(again.plan.transfer, 0).write())
        assert await chunks_of(second) == list(range(7))
        ack(second, 2, 0)
        await publishing


@pytest.mark.usefixtures("at_once")
async def test_one_that_waits_for_its_answer_goes_on_when_one_behind_it_is_refused(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        large = asyncio.ensure_future(client.publish("wf/x", LARGE, codec="none"))
        assert (await data_of(peer)).offset == 1
        await peer.next(Opcode.END)
        small = asyncio.ensure_future(client.publish("wf/x", 1))
        assert (await data_of(peer)).offset == 2
        refuse(peer, 1)
        again = await data_of(peer)
        assert again.plan is not None
        refuse(peer, 2)
        peer.send(Resume(again.plan.transfer, 0).write())
        assert await chunks_of(peer) == list(range(7))
        assert (await data_of(peer)).offset == 4, "and was not sent twice"
        ack(peer, 3, 0)
        ack(peer, 4, 1)
        assert [(await each).offset for each in (large, small)] == [0, 1]


async def test_the_pauses_begin_anew_when_a_message_was_taken(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def pause_s(backoff: Backoff, action: Action, attempt: int, draw: object) -> float:
        drawn.append(attempt)
        return 0.0

    monkeypatch.setattr(pauses, "pause_s", pause_s)
    refuse_heads(scripted, 3)
    async with connected(scripted) as (client, peer):
        for count in (3, 6):
            refuse_heads(scripted, count + count // 6)
            publishing = asyncio.ensure_future(client.publish("wf/x", 1))
            ack(peer, [(await data_of(peer)).offset for _ in range(4)][-1], 0)
            await publishing
    assert drawn == [0, 1, 2, 0, 1, 2]


@pytest.mark.usefixtures("at_once")
async def test_a_large_message_makes_way_for_one_that_was_refused_before_it(scripted: ScriptedGateway) -> None:
    reports: list[Exception] = []
    async with connected(scripted, on_error=reports.append) as (client, peer):
        small = asyncio.ensure_future(client.publish("wf/x", 1))
        await data_of(peer)
        held = asyncio.Event()
        large = asyncio.ensure_future(client.publish("wf/x", LARGE, codec="none", progress=lambda *_: held.set()))
        begun = await data_of(peer)
        assert begun.plan is not None
        await held.wait()
        refuse(peer, 1)
        frame = await peer.next(Opcode.ABORT, Opcode.END)
        if frame.opcode == Opcode.ABORT:  # otherwise all of it was written before the refusal came
            assert Abort.parse(frame.message, frame.frame).transfer == begun.plan.transfer
            assert (await data_of(peer)).offset == 3
            ack(peer, 3, 0)
            await small
            again = await data_of(peer)
            assert again.plan is not None
            assert again.offset == 4
            refuse(peer, 2)  # sent before the gateway knew of ABORT
            peer.send(Resume(again.plan.transfer, 0).write())
            assert await chunks_of(peer) == list(range(7))
            ack(peer, 4, 1)
            assert (await large).offset == 1
            alias = client._core.context.aliases.get(0)
            assert alias is not None
            assert not alias.outstanding
            assert reports == []
        else:
            ack(peer, 2, 0)
            await large
            ack(peer, (await data_of(peer)).offset, 1)
            await small


@pytest.mark.usefixtures("at_once")
async def test_a_connection_that_is_lost_meanwhile_does_not_change_the_order(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = [asyncio.ensure_future(client.publish("wf/x", step)) for step in range(3)]
        frames = [await data_of(first) for _ in range(3)]
        refuse(first, 2, 2)
        again = await data_of(first)
        assert (again.offset, again.timestamp_ns) == (4, frames[0].timestamp_ns)
        first.drop()
        second = await scripted.accept()
        found = [await data_of(second) for _ in range(2)]
        assert [frame.offset for frame in found] == [3, 4], "the gateway may have them"
        assert [frame.timestamp_ns for frame in found] == [frames[2].timestamp_ns, frames[0].timestamp_ns]
        ack(second, 4, 1)
        assert (await data_of(second)).timestamp_ns == frames[1].timestamp_ns
        ack(second, 5, 2)
        ack(second, 3, 0, repeated=True)
        assert [(await each).offset for each in publishing] == [1, 2, 0]


async def test_a_client_that_is_closed_meanwhile_gives_the_refusal(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "AGAIN", Backoff(base_s=60, cap_s=60, later_s=60))
    async with connected(scripted, close_timeout_s=0.1) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1))
        await data_of(peer)
        refuse(peer, 1)
        await until(lambda: bool(client._core.publisher._queues["wf/x"]._waiting))
    with pytest.raises(RequestRefused, match="QUEUE_FULL"):
        await publishing
