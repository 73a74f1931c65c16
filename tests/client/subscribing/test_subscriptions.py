"""Tests which subscription gets which stream, frame by frame."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from gateway.client import Backoff, Client, Gap, View, connect
from gateway.errors import Code, RequestRefused, UsageError
from gateway.protocol import signals
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain, encode
from gateway.protocol.messages import Account, Counts, Error, GoAway, Kind, StreamInfo, Subscribe, Unsubscribe
from gateway.protocol.meta import write_tensor_meta
from gateway.protocol.names import Pattern
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import Opcode
from tests.client.frames import message
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway
from tests.client.waiting import until

QUICK = Backoff(base_s=0.0, cap_s=0.0, later_s=0.0)


@asynccontextmanager
async def connected(scripted: ScriptedGateway) -> AsyncIterator[tuple[Client, Peer]]:
    """A client and the other side of it."""
    async with connect(scripted.url) as client:
        yield client, await scripted.accept()


def info(number: int, name: str, kind: Kind = Kind.EVENT, epoch: int = 5) -> StreamInfo:
    return StreamInfo(number, name, kind, epoch, 0)


async def test_it_asks_and_takes_back(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        async with client.subscribe("wf/*"):
            asked = (await peer.next(Opcode.SUBSCRIBE)).session()
            assert isinstance(asked, Subscribe)
            assert asked.pattern == "wf/*"
        taken_back = (await peer.next(Opcode.UNSUBSCRIBE)).session()
        assert isinstance(taken_back, Unsubscribe)
        assert taken_back.subscription == asked.subscription


async def test_a_refusal_is_raised(scripted: ScriptedGateway) -> None:
    def refuse(peer: Peer, received: Received) -> None:
        asked = received.session()
        assert isinstance(asked, Subscribe)
        peer.send(Error(Code.FORBIDDEN, "FORBIDDEN", "not yours", request=asked.request))

    scripted.answers[Opcode.SUBSCRIBE] = refuse
    async with connected(scripted) as (client, _):
        with pytest.raises(RequestRefused, match="not yours"):
            await client.subscribe("wf/*").start()


async def test_a_cancelled_start_is_undone_and_a_later_start_subscribes(scripted: ScriptedGateway) -> None:
    answer = scripted.answers.pop(Opcode.SUBSCRIBE)
    async with connected(scripted) as (client, peer):
        messages = client.subscribe("wf/*", since="beginning")
        starting = asyncio.ensure_future(messages.start())
        received = await peer.next(Opcode.SUBSCRIBE)
        first = received.session()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        undone = (await peer.next(Opcode.UNSUBSCRIBE)).session()
        assert isinstance(first, Subscribe)
        assert isinstance(undone, Unsubscribe)
        assert undone.subscription == first.subscription
        answer(peer, received)  # too late
        scripted.answers[Opcode.SUBSCRIBE] = answer
        async with messages:
            again = (await peer.next(Opcode.SUBSCRIBE)).session()
            assert isinstance(again, Subscribe)
            assert (again.subscription != first.subscription, again.since) == (True, "beginning")
            peer.send(info(1, "wf/a"), message(0, 1, stream=1))
            assert (await anext(messages)).tensor == 1


async def test_one_that_is_closed_before_there_is_a_connection_is_not_asked_for(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url, backoff=QUICK) as client:
        first = await scripted.accept()
        first.send(GoAway(1001, "stopping", 5.0))
        await until(lambda: client._core.context.ready is None)
        messages = client.subscribe("wf/closed")
        starting = asyncio.ensure_future(messages.start())
        await asyncio.sleep(0)
        await messages.close()
        first.drop()
        second = await scripted.accept()
        await starting
        async with client.subscribe("wf/open"):
            asked = (await second.next(Opcode.SUBSCRIBE)).session()
        assert isinstance(asked, Subscribe)
        assert asked.pattern == "wf/open"


async def test_a_refused_start_may_be_repeated(scripted: ScriptedGateway) -> None:
    def refuse(peer: Peer, received: Received) -> None:
        asked = received.session()
        assert isinstance(asked, Subscribe)
        peer.send(Error(Code.FORBIDDEN, "FORBIDDEN", "not yours", request=asked.request))

    answer = scripted.answers[Opcode.SUBSCRIBE]
    scripted.answers[Opcode.SUBSCRIBE] = refuse
    async with connected(scripted) as (client, peer):
        messages = client.subscribe("wf/*")
        for _ in range(2):
            with pytest.raises(RequestRefused, match="not yours"):
                await messages.start()
        scripted.answers[Opcode.SUBSCRIBE] = answer
        async with messages:
            peer.send(info(1, "wf/a"), message(0, 1, stream=1))
            assert (await anext(messages)).tensor == 1


async def test_streams_go_to_every_subscription_that_matches(scripted: ScriptedGateway) -> None:
    async with (
        connected(scripted) as (client, peer),
        client.subscribe("wf/*") as one_segment,
        client.subscribe("wf/a/b") as exact,
        client.subscribe("**") as everything,
    ):
        peer.send(
            info(1, "wf/a"),
            info(2, "wf/a/b"),
            info(3, "other/x"),
            message(0, 1, stream=1),
            message(0, 2, stream=2),
            message(0, 3, stream=3),
            message(0, 99, stream=4),  # never announced
        )
        assert [int((await anext(everything)).tensor) for _ in range(3)] == [1, 2, 3]
        assert (await anext(one_segment)).tensor == 1
        assert (await anext(exact)).tensor == 2
        assert one_segment.stats.received == exact.stats.received == 1


async def test_a_subscription_made_later_gets_streams_that_are_known(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*") as first:
        peer.send(info(1, "wf/a"), message(0, 1, stream=1))
        await anext(first)
        async with client.subscribe("wf/a") as second:
            peer.send(message(1, 9, stream=1), info(1, "wf/a"), message(2, 2, stream=1))
            assert (await anext(first)).tensor == 9  # before the stream was announced to the second
            assert (await anext(second)).tensor == (await anext(first)).tensor == 2
        peer.send(message(3, 3, stream=1))
        assert (await anext(first)).tensor == 3
        assert second.stats.received == 1


async def test_frames_that_come_after_unsubscribing_are_skipped(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("end/*") as end:
        async with client.subscribe("wf/*") as messages:
            peer.send(info(1, "wf/a"), info(2, "end/x"), message(0, 1, stream=1))
            await anext(messages)
        peer.send(message(1, 2, stream=1), message(0, 9, stream=2))
        assert (await anext(end)).tensor == 9
        assert messages.stats.received == 1


async def test_an_announced_gap_is_told_in_its_place(scripted: ScriptedGateway) -> None:
    gaps: list[Gap] = []
    async with connected(scripted) as (client, peer), client.subscribe("wf/*", on_gap=gaps.append) as messages:
        peer.send(info(1, "wf/a"), message(0, 1, stream=1))
        peer.send(signals.Gap(1, Code.QUEUE_FULL, 1, 4).write(), message(5, 2, stream=1))
        assert [(await anext(messages)).offset for _ in range(2)] == [0, 5]
        assert gaps == [Gap("wf/a", Code.QUEUE_FULL, 1, 4)]
        assert (messages.stats.dropped, messages.stats.received) == (4, 2)
        peer.send(signals.Gap(1, 5299, 6, 6).write(), message(7, 3, stream=1))
        await anext(messages)
        assert [type(gap.code) for gap in gaps] == [Code, int]


async def test_a_stream_that_begins_anew_is_taken_as_such(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*") as messages:
        peer.send(info(1, "wf/a", epoch=5), message(10, 1, stream=1))
        peer.send(info(1, "wf/a", epoch=6), message(0, 2, stream=1))
        received = [await anext(messages) for _ in range(2)]
        assert [(each.epoch, each.offset) for each in received] == [(5, 10), (6, 0)]


async def test_an_answer_that_belongs_to_an_epoch_of_the_past_is_not_sent(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/a", auto_ack=False) as tasks:
        await peer.next(Opcode.SUBSCRIBE)
        peer.send(info(1, "wf/a", Kind.COLLABORATION, epoch=5), message(10, 1, stream=1))
        before = await anext(tasks)
        peer.send(info(1, "wf/a", Kind.COLLABORATION, epoch=6), message(0, 2, stream=1))
        after = await anext(tasks)
        await before.ack()
        await after.ack()
        done = await peer.next(Opcode.DONE)
        assert signals.Done.parse(done.message, done.frame) == signals.Done(1, 0, 0, 0)


async def test_a_slow_reader_of_events_stops_the_gateway_and_loses_nothing(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*", buffer_bytes=10_000) as messages:
        peer.send(info(1, "wf/a"))
        for offset in range(2000):
            peer.send(message(offset, offset, stream=1))
        assert [(await anext(messages)).offset for _ in range(2000)] == list(range(2000))
        assert messages.stats.dropped == 0


async def test_a_slow_reader_of_states_gets_the_newest(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*") as messages:
        peer.send(info(1, "wf/a", Kind.STATE), *[message(offset, offset, stream=1) for offset in range(100)])
        assert (await anext(messages)).offset == 99
        assert messages.stats.conflated == 99


async def test_who_wants_every_version_of_a_state_gets_them_in_order(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*", conflate=False) as messages:
        peer.send(info(1, "wf/a", Kind.STATE), *[message(offset, offset, stream=1) for offset in range(100)])
        assert [(await anext(messages)).offset for _ in range(100)] == list(range(100))
        assert messages.stats.conflated == 0


async def test_iterators_of_one_client_run_side_by_side(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        subscriptions = [client.subscribe(f"wf/{name}") for name in "abc"]
        waiting = [asyncio.ensure_future(anext(each)) for each in subscriptions]
        for _ in subscriptions:
            await peer.next(Opcode.SUBSCRIBE)
        for number, name in enumerate("abc"):
            peer.send(info(number, f"wf/{name}"), message(0, number, stream=number))
        assert [int(each.tensor) for each in await asyncio.gather(*waiting)] == [0, 1, 2]


async def test_a_full_subscription_does_not_keep_others_from_their_answers(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*", buffer_bytes=1) as full:
        peer.send(info(1, "wf/a"), message(0, 0, stream=1))
        await until(lambda: full.stats.received == 1)
        async with client.subscribe("other/*"):
            pass
        peer.send(message(1, 1, stream=1))
        assert [(await anext(full)).offset for _ in range(2)] == [0, 1]


async def test_a_subscription_that_is_dropped_without_being_closed_is_taken_back(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*") as kept:
        dropped = client.subscribe("wf/a", buffer_bytes=1)
        await dropped.start()
        peer.send(info(1, "wf/a"), message(0, 0, stream=1))
        async for _ in dropped:
            break
        del dropped
        taken_back = (await peer.next(Opcode.UNSUBSCRIBE)).session()
        assert isinstance(taken_back, Unsubscribe)
        assert taken_back.keep, "only who closes it signs off"
        peer.send(*[message(offset, offset, stream=1) for offset in range(1, 10)])
        assert [(await anext(kept)).offset for _ in range(10)] == list(range(10))


async def test_an_ended_message_takes_no_offset_of_a_later_one(scripted: ScriptedGateway) -> None:
    errors: list[Exception] = []
    async with (
        connected(scripted) as (client, peer),
        client.subscribe("wf/a", on_error=errors.append) as messages,
    ):
        peer.send(info(1, "wf/a"))
        meta = write_tensor_meta(np.dtype(np.uint8), (8192,))
        plan = ChunkPlan(9, 4096, 8192)
        peer.send(b"".join(write_data(Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=0, meta=meta, plan=plan)))
        peer.send(b"".join(write_chunk(9, 0, [bytes(4096)])), signals.Abort(9, Code.TRANSFER_ABORTED).write())
        peer.send(message(0, np.arange(3), stream=1))
        got = await anext(aiter(messages))
        assert got.offset == 0
        assert messages.stats.failed == 1
    (error,) = errors
    assert isinstance(error, RequestRefused)


async def test_views_go_to_the_subscriptions_that_asked_for_them(scripted: ScriptedGateway) -> None:
    errors: list[Exception] = []
    async with (
        connected(scripted) as (client, peer),
        client.subscribe("wf/*") as plain,
        client.subscribe("wf/*", view=View(0)) as row,
        client.subscribe("wf/a", view=View(0)) as same,
        client.subscribe("wf/a", view=View(1), on_error=errors.append) as other,
    ):
        asked = [(await peer.next(Opcode.SUBSCRIBE)).session() for _ in range(4)]
        numbers = [request.subscription for request in asked if isinstance(request, Subscribe)]
        views = [request.view for request in asked if isinstance(request, Subscribe)]
        assert views == [None, {"slice": [0]}, {"slice": [0]}, {"slice": [1]}]
        peer.send(info(1, "wf/a"))
        for number, subscription in ((8, numbers[1]), (8, numbers[2]), (9, numbers[3])):
            peer.send(replace(info(number, "wf/a"), subscription=subscription))
        peer.send(message(0, 10, stream=1), message(0, 20, stream=8), message(0, 30, stream=9))
        peer.send(Error(Code.INVALID_VIEW, "INVALID_VIEW", "no", stream="wf/a", subscription=numbers[3]))
        assert [int((await anext(each)).tensor) for each in (plain, row, same, other)] == [10, 20, 20, 30]
        await row.close()
        peer.send(message(1, 21, stream=8), signals.Gap(9, Code.INVALID_VIEW, 1, 1).write(), message(2, 32, stream=9))
        assert int((await anext(same)).tensor) == 21
        assert int((await anext(other)).tensor) == 32
        assert [subscription.stats.received for subscription in (plain, row, same, other)] == [1, 1, 2, 2]
        assert other.stats.dropped == 1
        assert [str(error) for error in errors] == ["wf/a: no (INVALID_VIEW, code 5217)"]


async def test_closing_many_subscriptions_matches_each_stream_and_each_pattern_a_few_times(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 30
    matched: list[str] = []
    matches = Pattern.matches

    def counting(pattern: Pattern, name: str) -> bool:
        matched.append(name)
        return matches(pattern, name)

    async with connected(scripted) as (client, peer):
        subscriptions = [client.subscribe(f"wf/{number}") for number in range(count)]
        for number, subscription in enumerate(subscriptions):
            await subscription.start()
            peer.send(info(number, f"wf/{number}", Kind.STATE), message(0, number, stream=number))
            assert int((await anext(subscription)).tensor) == number
        monkeypatch.setattr(Pattern, "matches", counting)
        for subscription in subscriptions:
            await subscription.close()
        assert len(matched) <= 2 * count
        assert not client._core.subscriptions._versions._newest


async def test_the_version_of_a_state_is_kept_until_the_last_subscription_is_closed(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        first, second, view = client.subscribe("wf/*"), client.subscribe("wf/a"), client.subscribe("**", view=View(0))
        for subscription in (first, second, view):
            await subscription.start()
        peer.send(info(1, "wf/a", Kind.STATE), message(0, 1, stream=1))
        await anext(second)
        versions = client._core.subscriptions._versions
        await first.close()
        assert versions.get("wf/a") is not None
        peer.send(message(1, 2, stream=1))
        assert [int((await anext(second)).tensor), first.stats.received] == [2, 1]
        await second.close()
        assert versions.get("wf/a") is None
        await view.close()


def account(peer: Peer, received: Received) -> None:
    """Answer with an account."""
    asked = received.session()
    assert isinstance(asked, Account)
    peer.send(replace(asked, streams={"wf/a": Counts(delivered=3)}))


async def test_the_account_of_a_subscription_is_asked_for(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.ACCOUNT] = account
    async with connected(scripted) as (client, _):
        subscription = client.subscribe("wf/*")
        with pytest.raises(UsageError, match="not been started"):
            await client.account(subscription)
        async with subscription:
            assert await client.account(subscription) == {"wf/a": Counts(delivered=3)}
        with pytest.raises(UsageError, match="is closed"):
            await client.account(subscription)


async def test_an_account_that_a_lost_connection_swallowed_is_asked_for_again(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url, backoff=QUICK) as client:
        peer = await scripted.accept()
        async with client.subscribe("wf/*") as subscription:
            asking = asyncio.create_task(client.account(subscription))
            await peer.next(Opcode.ACCOUNT)
            scripted.answers[Opcode.ACCOUNT] = account
            peer.drop()
            assert await asking == {"wf/a": Counts(delivered=3)}


async def test_a_subscription_that_the_next_session_refuses_ends(scripted: ScriptedGateway) -> None:
    def refuse(peer: Peer, received: Received) -> None:
        asked = received.session()
        assert isinstance(asked, Subscribe)
        peer.send(Error(Code.FORBIDDEN, "FORBIDDEN", "not any more", request=asked.request))

    async with connect(scripted.url, backoff=QUICK) as client:
        peer = await scripted.accept()
        async with client.subscribe("wf/*") as messages:
            scripted.answers[Opcode.SUBSCRIBE] = refuse
            peer.drop()
            with pytest.raises(RequestRefused, match="not any more"):
                await anext(messages)


async def test_a_cut_message_is_offered_to_the_next_session(scripted: ScriptedGateway) -> None:
    meta = write_tensor_meta(np.dtype(np.uint8), (8192,))
    head = write_data(Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=0, meta=meta, plan=ChunkPlan(9, 4096, 8192))
    progress: list[int] = []

    def advanced(stream: str, received_bytes: int, payload_bytes: int) -> None:
        progress.append(received_bytes)

    async with connect(scripted.url, backoff=QUICK) as client:
        peer = await scripted.accept()
        async with client.subscribe("wf/*", progress=advanced):
            peer.send(info(1, "wf/a"), head, b"".join(write_chunk(9, 0, [bytes(4096)])))
            await until(lambda: progress == [4096])
            peer.drop()
            peer = await scripted.accept()
            asked = (await peer.next(Opcode.SUBSCRIBE)).session()
            assert isinstance(asked, Subscribe)
            assert asked.resume == {"wf/a": (9, 1)}


async def test_the_next_stream_of_a_name_begins_behind_messages_of_the_one_before_it_that_are_decoded(
    scripted: ScriptedGateway,
) -> None:
    large = np.arange(1_000_000, dtype="<i8")
    encoding, payload = encode(Chain(codec="lz4"), large.tobytes(), np.dtype("<u8")) or (None, b"")
    assert encoding is not None
    meta = write_tensor_meta(large.dtype, large.shape)
    encoded = write_data(
        Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=0, meta=meta, encoding=encoding, payload=(payload,)
    )
    told: list[object] = []
    async with (
        connected(scripted) as (client, peer),
        client.subscribe("wf/a", on_ended=lambda ended: told.append(ended.epoch)) as messages,
    ):
        peer.send(info(1, "wf/a"), encoded, replace(info(1, "wf/a"), offset=1, ended="deleted"))
        peer.send(info(2, "wf/a", epoch=6), message(0, 6, stream=2))
        peer.send(replace(info(2, "wf/a", epoch=6), offset=1, ended="deleted"))
        peer.send(info(3, "wf/a", epoch=7), message(0, 7, stream=3))
        for epoch in (5, 6, 7):
            assert (await anext(messages)).epoch == epoch
        assert told == [5, 6]
        assert messages.account["wf/a"] == Counts(delivered=3)
        assert not client._core.subscriptions._ending._by_stream
