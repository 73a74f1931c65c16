"""Tests acknowledgements, refusals and the flushing of what ``publish_nowait`` collected, frame by frame."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import Backoff, Client, connect, sending, session
from gateway.client.sending import send_queue
from gateway.client.sending.alias import Aliases
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.sending.send_queue import SendQueue
from gateway.client.sending.stream_send_queue import StreamSendQueue
from gateway.client.session.session import Session
from gateway.client.transmission_result import TransmissionResult
from gateway.config.settings import Settings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code, RequestRefused, RequestTimeout, UsageError
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.durability import Durability
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Error, Kind, Open, StreamInfo
from gateway.protocol.signals import Ack
from gateway.protocol.wire import FLAG_ACK, Buffer, Opcode
from gateway.testing import running_gateway
from tests.client.scripted_gateway import Peer, ScriptedGateway
from tests.client.sending.test_content import ChangingRoom
from tests.client.storm import Storm


@asynccontextmanager
async def connected(scripted: ScriptedGateway) -> AsyncIterator[tuple[Client, Peer, asyncio.Queue[Exception]]]:
    """A client, the other side of it, and what it tells to ``on_error``."""
    told: asyncio.Queue[Exception] = asyncio.Queue()
    async with connect(scripted.url, on_error=told.put_nowait) as client:
        yield client, await scripted.accept(), told


async def next_data(peer: Peer, opcode: int = Opcode.MESSAGE) -> DataFrame:
    """The next data frame from the client."""
    received = await peer.next(opcode)
    return parse_data(received.message, received.frame)


def info(alias: int, kind: Kind = Kind.STATE) -> StreamInfo:
    return StreamInfo(7, "wf/x", kind, 5, 0, alias=alias)


def refusal(code: Code, *, alias: int, sequence: int | None = None, count: int | None = None) -> Error:
    return Error(code, code.name, "because", alias=alias, sequence=sequence, count=count)


async def test_one_run_acknowledges_many(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        publishing = [asyncio.ensure_future(client.publish("wf/x", step)) for step in range(4)]
        frames = [await next_data(peer) for _ in range(4)]
        assert [frame.offset for frame in frames] == [1, 2, 3, 4]
        assert all(frame.flags & FLAG_ACK for frame in frames)
        peer.send(info(0), Ack(alias=0, count=3, sequence=3, offset=12).write())
        assert [(await each).offset for each in publishing[:3]] == [10, 11, 12]
        assert not publishing[3].done()
        peer.send(Ack(alias=0, count=1, sequence=4, offset=20).write())
        result = await publishing[3]
        assert (result.offset, result.epoch) == (20, 5)


async def test_what_a_message_is_to_outlive_is_declared_and_told(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1, kind="event", durability="fsync"))
        opening = (await peer.next(Opcode.OPEN)).session()
        assert isinstance(opening, Open)
        assert (opening.kind, opening.durability) == (Kind.EVENT, Durability.FSYNC)
        peer.send(replace(info(0, Kind.EVENT), durability=Durability.FSYNC), Ack(0, 1, 1, 0, Durability.FSYNC).write())
        assert (await publishing).durability == "fsync"
        with pytest.raises(RequestRefused) as refused:
            await client.publish("wf/x", 2, durability="os")
        assert refused.value.code == Code.DURABILITY_MISMATCH


async def test_acknowledgements_of_nothing_are_skipped(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        peer.send(Ack(9, 1, 1, 0).write(), Ack(0, 2**32 - 1, 2**64 - 1, 0).write())
        publishing = asyncio.ensure_future(client.publish("wf/x", 1))
        await next_data(peer)
        peer.send(info(0), Ack(0, 1, 1, 3).write())
        assert (await publishing).offset == 3


async def test_a_refusal_answers_the_run_that_it_names(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, told):
        publishing = [asyncio.ensure_future(client.publish("wf/x", step)) for step in range(3)]
        for _ in range(3):
            await next_data(peer)
        peer.send(info(0), refusal(Code.FORBIDDEN, alias=0, sequence=2, count=2), Ack(0, 1, 3, 0).write())
        for refused in publishing[:2]:
            with pytest.raises(RequestRefused, match="because") as caught:
                await refused
            assert caught.value.code == Code.FORBIDDEN
        assert (await publishing[2]).offset == 0
        assert told.empty()


async def test_a_refused_record_batch_is_told_once(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, told):
        for step in range(5):
            client.publish_nowait("wf/x", step)
        frame = await next_data(peer, Opcode.BATCH)
        assert (frame.offset, frame.count, frame.flags & FLAG_ACK) == (1, 5, 0)
        peer.send(refusal(Code.FORBIDDEN, alias=0, sequence=5, count=5))
        assert "publish_nowait to wf/x: 5 messages are lost: because" in str(await told.get())
        assert told.empty()


async def test_the_loss_of_messages_names_those_that_nobody_waits_for(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, told):
        client.publish_nowait("wf/x", 0)
        await next_data(peer)
        publishing = asyncio.ensure_future(client.publish("wf/x", 1))
        await next_data(peer)
        peer.send(info(0), refusal(Code.FORBIDDEN, alias=0, sequence=2, count=2))
        assert "publish_nowait to wf/x: 1 message is lost: because" in str(await told.get())
        with pytest.raises(RequestRefused):
            await publishing
        assert told.empty()


async def test_the_loss_at_the_end_of_a_stream_says_how_it_goes_on(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, told):
        for step in range(5):
            client.publish_nowait("wf/x", step)
        await next_data(peer, Opcode.BATCH)
        peer.send(info(0), refusal(Code.STREAM_ENDED, alias=0, sequence=5, count=5))
        error = await told.get()
        assert isinstance(error, RequestRefused)
        assert error.code == Code.STREAM_ENDED
        assert "5 messages are lost: because; later ones go to the next stream" in str(error)
        assert told.empty()


async def test_a_refused_open_is_asked_again_by_the_next_message(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        first = asyncio.ensure_future(client.publish("wf/x", 1, kind="event"))
        opened = (await peer.next(Opcode.OPEN)).session()
        assert isinstance(opened, Open)
        assert (opened.alias, opened.stream, opened.kind, opened.sequence) == (0, "wf/x", Kind.EVENT, 1)
        await next_data(peer)
        peer.send(refusal(Code.KIND_MISMATCH, alias=0), refusal(Code.KIND_MISMATCH, alias=0, sequence=1, count=1))
        with pytest.raises(RequestRefused):
            await first
        second = asyncio.ensure_future(client.publish("wf/x", 1))
        assert (await peer.next(Opcode.OPEN)).session() == Open(1, "wf/x", producer=opened.producer, sequence=2)
        assert (await next_data(peer)).offset == 2
        peer.send(info(1), Ack(1, 1, 2, 0).write())
        assert (await second).offset == 0


async def test_a_kind_is_checked_against_the_answer_to_open(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        first = asyncio.ensure_future(client.publish("wf/x", 1))
        await next_data(peer)
        wrong = asyncio.ensure_future(client.publish("wf/x", 2, kind="event"))
        right = asyncio.ensure_future(client.publish("wf/x", 3, kind="state"))
        peer.send(info(0), Ack(0, 1, 1, 0).write())
        with pytest.raises(RequestRefused, match="wf/x is of kind state, not event"):
            await wrong
        assert (await next_data(peer)).offset == 2  # the refused one took no sequence
        peer.send(Ack(0, 1, 2, 1).write())
        assert [(await first).offset, (await right).offset] == [0, 1]


async def test_giving_up_an_answer_does_not_disturb_the_next(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        with pytest.raises(RequestTimeout, match=r"acknowledgement of wf/x .* the message was sent"):
            await client.publish("wf/x", 1, timeout_s=0.01)
        second = asyncio.ensure_future(client.publish("wf/x", 2))
        assert [(await next_data(peer)).offset for _ in range(2)] == [1, 2]
        peer.send(info(0), Ack(0, 2, 2, 8).write())
        assert (await second).offset == 8


async def test_small_messages_of_many_streams_share_a_websocket_message(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        for stream in ("wf/a", "wf/b", "wf/c"):
            client.publish_nowait(stream, 1.0)
            client.publish_nowait(stream, 2.0, headers={"h": 1})
        received = await peer.next(Opcode.OPEN)
        opcodes = [frame.opcode for frame in iter_frames(received.message)]
        assert sorted(opcodes) == sorted([Opcode.OPEN, Opcode.MESSAGE, Opcode.MESSAGE] * 3)


async def test_what_is_collected_goes_before_a_later_publish(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        client.publish_nowait("wf/x", 1.0)
        client.publish_nowait("wf/x", 2.0)
        publishing = asyncio.ensure_future(client.publish("wf/x", 3.0))
        batch, message = await next_data(peer, Opcode.BATCH), await next_data(peer)
        assert (batch.offset, batch.count, message.offset) == (1, 2, 3)
        peer.send(info(0), Ack(0, 1, 3, 2).write())
        await publishing


async def test_timestamps_are_those_of_the_call(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        before_ns = client._core.now_ns()
        client.publish_nowait("wf/x", np.zeros(3))
        after_ns = client._core.now_ns()
        assert before_ns - 10**9 <= (await next_data(peer)).timestamp_ns <= after_ns + 10**9


async def test_more_streams_than_aliases_are_published_to_in_one_turn(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    async with connect(gateway.url, on_error=told.append) as client:
        monkeypatch.setattr(client._core.context, "aliases", Aliases(limit=3))
        for step in range(2):
            for stream in range(20):
                client.publish_nowait(f"run-{stream}/loss", np.float32(step), kind="event")
        results = await asyncio.gather(*[client.publish(f"run-{stream}/loss", 2.0) for stream in range(20)])
        assert [result.offset for result in results] == [2] * 20
        with pytest.raises(RequestRefused) as refused:
            await client.request("agent:nobody")
        assert refused.value.code == Code.NO_SUCH_PEER
    assert told == []


async def test_a_publish_that_got_no_alias_in_time_says_what_to_do(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(scripted) as (client, peer, _):
        monkeypatch.setattr(client._core.context, "aliases", Aliases(limit=1))
        unanswered = asyncio.ensure_future(client.publish("wf/x", 1))
        await next_data(peer)
        with pytest.raises(RequestRefused, match=r"wf/y.*wait for publishes") as refused:
            await client.publish("wf/y", 1, timeout_s=0.05)
        assert refused.value.code == Code.LIMIT_EXCEEDED
        peer.send(info(0), Ack(alias=0, count=1, sequence=1, offset=0).write())
        await unanswered
        publishing = asyncio.ensure_future(client.publish("wf/y", 1))
        opened = (await peer.next(Opcode.OPEN)).session()
        assert isinstance(opened, Open)
        assert (opened.alias, opened.stream) == (0, "wf/y")
        frame = await next_data(peer)
        peer.send(replace(info(0), stream="wf/y"), Ack(alias=0, count=1, sequence=frame.offset, offset=5).write())
        assert (await publishing).offset == 5


async def test_every_message_to_an_alias_that_was_refused_gets_the_refusal_of_its_open(gateway: Gateway) -> None:
    told: asyncio.Queue[Exception] = asyncio.Queue()
    async with connect(gateway.url, on_error=told.put_nowait) as client:
        await client.publish("wf/x", 1, kind="event")
        async with connect(gateway.url, on_error=told.put_nowait) as other:
            publishing = [asyncio.ensure_future(other.publish("wf/x", step, kind="state")) for step in range(3)]
            for outcome in await asyncio.gather(*publishing, return_exceptions=True):
                assert isinstance(outcome, RequestRefused)
                assert outcome.code == Code.KIND_MISMATCH
            other.publish_nowait("wf/x", 1, kind="state")
            refused = await told.get()
            assert isinstance(refused, RequestRefused)
            assert refused.code == Code.KIND_MISMATCH
            assert (await other.publish("wf/x", 1)).offset == 1


async def test_a_kind_that_is_refused_is_refused_to_the_messages_that_name_it_only(gateway: Gateway) -> None:
    told: list[Exception] = []
    async with (
        connect(gateway.url, client_id="other") as other,
        connect(gateway.url, on_error=told.append) as client,
        other.subscribe("wf/*") as messages,
    ):
        for stream in ("wf/x", "wf/y"):
            await other.publish(stream, 0, kind="event")
            await anext(messages)
        wrong, unnamed, right = (
            asyncio.ensure_future(client.publish("wf/x", step, kind=kind))
            for step, kind in enumerate(("state", None, "event"))
        )
        with pytest.raises(RequestRefused, match="KIND_MISMATCH"):
            await wrong
        assert [(await each).offset for each in (unnamed, right)] == [1, 2]
        client.publish_nowait("wf/y", 0, kind="state")
        client.publish_nowait("wf/y", 1.5)
        client.publish_nowait("wf/y", 2, kind="event")
        client.publish_nowait("wf/y", 3, headers={"a": 1})
        received = [(each.stream, float(each.tensor)) for each in [await anext(messages) for _ in range(5)]]
        assert received == [("wf/x", 1), ("wf/x", 2), ("wf/y", 1.5), ("wf/y", 2), ("wf/y", 3)]
        assert [str(error)[:22] for error in told] == ["publish_nowait to wf/y"]


async def test_a_failure_of_one_message_stops_neither_those_behind_it_nor_other_streams(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = StreamSendQueue.submit

    def failing(queue: StreamSendQueue, message: OutboundMessage) -> None:
        if message.content.payload_bytes == 3:
            raise MemoryError
        submit(queue, message)

    monkeypatch.setattr(StreamSendQueue, "submit", failing)
    told: list[Exception] = []
    async with connect(gateway.url, on_error=told.append) as client:
        for size in (2, 3, 4):
            client.publish_nowait("wf/a", np.zeros(size, np.uint8), kind="event")
            client.publish_nowait("wf/b", np.zeros(size + 2, np.uint8), kind="event")
        assert (await client.publish("wf/a", 1)).offset == 2
        assert (await client.publish("wf/b", 1)).offset == 3
    assert [type(error) for error in told] == [MemoryError]


@pytest.mark.parametrize("codec", ["none", "shuffle+zstd:1"])
@pytest.mark.parametrize("changed", [np.s_[:], np.s_[:10], np.s_[-10:], np.s_[::100_000]])
async def test_an_array_that_changes_while_it_is_published_is_served_as_it_was_at_some_moment_or_not_at_all(
    gateway: Gateway, codec: str, changed: slice
) -> None:
    array = np.zeros(2_000_000)
    before = array.copy()
    after = array.copy()
    after[changed] = 1.0

    def change(sent_bytes: int, payload_bytes: int) -> None:
        if sent_bytes > payload_bytes // 2:
            array[changed] = 1.0

    async with connect(gateway.url) as client, connect(gateway.url) as other:
        await client.publish("wf/x", np.ones(3))
        try:
            await client.publish("wf/x", array, codec=codec, progress=change)
            allowed = [before, after]
        except UsageError as error:
            assert "wf/x" in str(error)  # noqa: PT017 - both outcomes are right
            allowed = [np.ones(3)]
        async with other.subscribe("wf/x") as messages:
            newest = (await anext(messages)).tensor
        assert any(np.array_equal(newest, state) for state in allowed)
        if changed == np.s_[:]:
            assert np.array_equal(newest, np.ones(3)), "all of it changed when half of it was sent"
        assert (await client.publish("wf/x", after, codec=codec)).offset in (1, 2)
        async with other.subscribe("wf/x") as messages:
            np.testing.assert_array_equal((await anext(messages)).tensor, after)


@pytest.mark.parametrize("codec", ["none", "shuffle+zstd:1"])
async def test_an_array_of_a_few_chunks_is_served_as_it_was_whatever_changes_while_it_is_published(
    gateway: Gateway, codec: str
) -> None:
    array = np.zeros(200_000)
    before = array.copy()

    def change(sent_bytes: int, payload_bytes: int) -> None:
        array[:] += 1.0

    async with connect(gateway.url) as client, client.subscribe("wf/x") as messages:
        await client.publish("wf/x", array, codec=codec, progress=change)
        assert array.all(), "it was changed"
        np.testing.assert_array_equal((await anext(messages)).tensor, before)


async def test_a_chunk_that_changes_when_its_checksum_is_known_is_sent_as_it_was(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.zeros(1_000_000)
    send = Session.send

    def send_while_another_thread_writes(session: Session, buffers: Sequence[Buffer], *, may_wait: bool = False) -> int:
        array[:10] = max(map(len, buffers)) > 100_000
        try:
            return send(session, buffers, may_wait=may_wait)
        finally:
            array[:10] = 0

    monkeypatch.setattr(Session, "send", send_while_another_thread_writes)
    async with connect(gateway.url) as client, connect(gateway.url) as other:
        await client.publish("wf/x", np.ones(3))
        with suppress(UsageError):  # the thread that reads the array from its end may see what was written
            await client.publish("wf/x", array, codec="none")
        async with other.subscribe("wf/x") as messages:
            newest = (await anext(messages)).tensor
        assert any(np.array_equal(newest, state) for state in (np.ones(3), np.zeros(1_000_000)))


async def test_a_small_array_that_changes_all_the_time_is_not_published(gateway: Gateway) -> None:
    array = np.zeros(10)

    def change() -> None:
        array[:] += 1

    async with connect(gateway.url) as client:
        room = client._core.context._room = ChangingRoom(array.nbytes)
        room.changes = [change] * 100
        for publishing in (client.publish("wf/x", array), client.request("agent:bob", array)):
            with pytest.raises(UsageError, match=r"wf/x|agent:bob"):
                await publishing
        assert len(client._core.requester._pending) == 0
        room.changes = [change]
        assert (await client.publish("wf/x", array)).offset == 0
        async with client.subscribe("wf/x") as messages:
            np.testing.assert_array_equal((await anext(messages)).tensor, array)


async def test_a_request_whose_array_changes_while_it_is_sent_does_not_arrive(gateway: Gateway) -> None:
    array = np.zeros(2_000_000)
    async with connect(gateway.url) as client, connect(gateway.url, client_id="bob") as bob, bob.inbox() as inbox:
        asking = asyncio.ensure_future(client.request("agent:bob", array, codec="zstd:1"))
        while not array.any():
            await asyncio.sleep(0)
            queue = client._core.requester._queues.get("agent:bob")
            if queue is not None and queue._waiting and queue._waiting[0].payload_sent_bytes:
                array[:] = 1.0
        with pytest.raises(UsageError, match="agent:bob"):
            await asking
        answering = asyncio.ensure_future(client.request("agent:bob", 5.0))
        request = await anext(inbox)
        assert request.tensor == 5.0
        await request.reply(None)
        await answering


async def test_a_call_of_publish_nowait_that_interrupts_the_sending_loses_nothing(gateway: Gateway) -> None:
    large = np.random.default_rng(1).integers(1, 255, 100_000, np.uint8)  # random: no codec takes time for it
    async with (
        connect(gateway.url) as client,
        connect(gateway.url) as other,
        other.subscribe("wf/x") as messages,
    ):
        await client.publish("wf/x", large, kind="event")
        await anext(messages)
        for step in range(0, 1_000_000, 29):
            with Storm(lambda _: client.publish_nowait("wf/x", large), sending, session, first=step, left=1) as storm:
                client.publish_nowait("wf/x", 0)
                client.publish_nowait("wf/y", 0)
                client._core.publisher.flush()
                await asyncio.gather(client.publish(f"wf/{step}", 1), client.publish("wf/x", 1))
            await client.publish("wf/x", 2)
            sizes_and_steps: list[tuple[int, int]] = []
            while not sizes_and_steps or sizes_and_steps[-1] != (1, 2):
                tensor = (await anext(messages)).tensor
                sizes_and_steps.append((tensor.size, int(tensor.flat[0])))
            came = [(large.size, int(large[0]))] * storm.count
            assert sorted(sizes_and_steps) == [(1, 0), (1, 1), (1, 2), *came], step
            if not storm.count:
                break
        assert step > 1000


async def test_publishers_wait_for_receivers_that_have_too_much_to_acknowledge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(send_queue, "AGAIN", Backoff(base_s=0.01, cap_s=0.01, later_s=0.0))
    consumers = ConsumerSettings(hold_bytes=1_000_000, limit_bytes=100_000)
    settings = Settings(admin_port=None, core=CoreSettings(consumers=consumers))
    refused: asyncio.Queue[RequestRefused] = asyncio.Queue()
    postpone = SendQueue.postpone

    def noted(queue: SendQueue, messages: list[OutboundMessage], refusal: RequestRefused) -> None:
        refused.put_nowait(refusal)
        postpone(queue, messages, refusal)

    monkeypatch.setattr(SendQueue, "postpone", noted)
    async with running_gateway(settings) as gateway, AsyncExitStack() as stack:
        alice = await stack.enter_async_context(connect(gateway.url))
        bob = await stack.enter_async_context(connect(gateway.url, client_id="bob"))
        await alice.publish("wf/tasks", -1, kind="collaboration")
        tasks = await stack.enter_async_context(bob.subscribe("wf/tasks", auto_ack=False))
        publishing: list[asyncio.Future[TransmissionResult]] = []
        for task in range(12):
            publish = alice.publish("wf/tasks", np.full(30_000, task, np.uint8), codec="none")
            publishing.append(asyncio.ensure_future(publish))
        assert (await refused.get()).code == Code.QUEUE_FULL
        done: list[int] = []
        async for message in tasks:
            done.append(int(message.tensor[0]))
            await message.ack()
            if len(done) == 12:
                break
        assert sorted(done) == list(range(12)), "each of them once"
        await asyncio.gather(*publishing)
