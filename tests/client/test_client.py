"""Tests what a program sees of the async client, with a real gateway."""

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Client, ClientState, Inbox, RecordBatch, ReplyStream, Subscription, connect, sync
from gateway.config.settings import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import (
    CapacityError,
    Code,
    ConnectionFailed,
    FrysError,
    InvalidArgument,
    RequestRefused,
    UnsupportedDtype,
    UsageError,
)
from gateway.protocol.limits import Limits
from gateway.testing import running_gateway, running_gateway_process
from tests.client.waiting import until


@pytest_asyncio.fixture
async def pair(gateway: Gateway) -> AsyncIterator[tuple[Client, Client]]:
    """Two clients of one gateway: a publisher and a subscriber."""
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(connect(gateway.url, client_id="alice")),
            await stack.enter_async_context(connect(gateway.url, client_id="bob")),
        )


async def test_connect_can_be_entered_or_awaited(gateway: Gateway) -> None:
    async with connect(gateway.url, client_type="workflow", client_id="me") as entered:
        assert (entered.client_id, entered.state) == ("me", ClientState.CONNECTED)
    assert entered.state is ClientState.CLOSED
    awaited = await connect(gateway.url)
    async with awaited:
        assert awaited.client_id  # made up by the gateway
        assert awaited.rtt_s is not None
        assert abs(awaited.clock_offset_s) < 1
    await awaited.close()


async def test_a_tensor_arrives_bit_for_bit(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    array = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    async with bob.subscribe("wf-1/*") as messages:
        result = await alice.publish("wf-1/weights", array, kind="state", headers={"step": 7})
        message = await anext(messages)
    assert (message.stream, message.offset, message.epoch) == ("wf-1/weights", result.offset, result.epoch)
    assert message.headers == {"step": 7}
    assert message.kind == "state"
    assert message.tensor.dtype == np.float32
    np.testing.assert_array_equal(message.tensor, array)
    assert not message.tensor.flags.writeable
    assert message.latency_s >= 0


@pytest.mark.parametrize(
    "value",
    [
        np.array(True),
        np.arange(5, dtype=np.int8),
        np.zeros((0, 3), np.uint16),
        np.arange(6, dtype=">f8").reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(20)[::3],
        np.arange(4).astype(ml_dtypes.bfloat16),
        np.array([1 + 2j, 3]),
        np.ones((1,) * 32, np.float16),
        [[1, 2], [3, 4]],
        2.5,
    ],
    ids=lambda value: f"{getattr(value, 'dtype', type(value).__name__)}{list(np.shape(value))}",
)
async def test_array_likes_arrive_with_dtype_and_shape(
    pair: tuple[Client, Client], value: npt.NDArray[np.generic]
) -> None:
    alice, bob = pair
    async with bob.subscribe("wf/x") as messages:
        await alice.publish("wf/x", value)
        tensor = (await anext(messages)).tensor
    expected = np.asarray(value)
    assert tensor.dtype == expected.dtype.newbyteorder("<")
    assert tensor.shape == expected.shape
    np.testing.assert_array_equal(tensor, expected)


async def test_named_tensors_and_headers_only(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    async with bob.subscribe("wf/**") as messages:
        await alice.publish("wf/layer/1", {"w": np.ones((2, 3)), "b": np.zeros(3, np.int16)})
        await alice.publish("wf/done", None, headers={"why": "converged"})
        layer, done = await anext(messages), await anext(messages)
    assert {name: tensor.shape for name, tensor in layer.tensors.items()} == {"w": (2, 3), "b": (3,)}
    assert (done.tensors, done.headers) == ({}, {"why": "converged"})


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd:3", "snappy", "shuffle+zstd:3", "pco", "auto"])
@pytest.mark.parametrize("size", [1, 5_000, 20_000, 600_000])
async def test_every_size_travels_with_every_codec(pair: tuple[Client, Client], codec: str, size: int) -> None:
    alice, bob = pair
    array = np.arange(size, dtype=np.int64) % 1000
    async with bob.subscribe("wf/x") as messages:
        result = await alice.publish("wf/x", array, codec=codec)
        np.testing.assert_array_equal((await anext(messages)).tensor, array)
    assert result.bytes_transmitted > 0
    assert 0 <= result.quality_score <= 1
    if codec == "none" or size == 1:
        assert result.compression_ratio == 1.0
        assert result.bytes_transmitted >= array.nbytes
    elif "zstd" in codec:
        assert result.compression_ratio > 2
        assert result.bytes_transmitted < array.nbytes / 2


async def test_progress_of_a_large_message_is_told_on_both_sides(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    array = np.zeros(3_000_000, np.uint8)
    sent: list[tuple[int, int]] = []
    received: list[tuple[str, int, int]] = []

    def note(stream: str, done: int, total: int) -> None:
        received.append((stream, done, total))

    async with bob.subscribe("wf/x", progress=note) as messages:
        await alice.publish("wf/x", array, codec="none", progress=lambda done, total: sent.append((done, total)))
        await anext(messages)
    assert sent[-1] == (array.nbytes, array.nbytes)
    assert received[-1] == ("wf/x", array.nbytes, array.nbytes)
    assert [done for done, _ in sent] == sorted(done for done, _ in sent)
    assert len(sent) > 3


async def test_the_order_of_the_calls_is_kept_acknowledged_or_not(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    large = np.arange(300_000, dtype=np.float64)
    async with bob.subscribe("wf/x") as messages:
        publishing = []
        for step in range(40):
            value = np.float32(step)
            match step % 4:
                case 0:
                    publishing.append(asyncio.ensure_future(alice.publish("wf/x", value, kind="event")))
                    await asyncio.sleep(0)  # the task has made its call
                case 1:
                    alice.publish_nowait("wf/x", value)
                case 2:
                    alice.publish_nowait("wf/x", value, headers={"step": step})
                case _:
                    publishing.append(
                        asyncio.ensure_future(alice.publish("wf/x", {"s": value, "large": large}, codec="lz4"))
                    )
                    await asyncio.sleep(0)
        steps = []
        for _ in range(40):
            message = await anext(messages)
            steps.append(int(message.tensors["s"] if len(message.tensors) > 1 else message.tensor))
        results = await asyncio.gather(*publishing)
    assert steps == list(range(40))
    assert [result.offset for result in results] == [step for step in range(40) if step % 4 in (0, 3)]


async def test_small_publishes_pass_a_large_one_of_another_stream(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    large = np.zeros(64 << 20, np.uint8)
    async with bob.subscribe("wf/*") as messages:
        publishing = asyncio.ensure_future(alice.publish("wf/large", large, kind="event", codec="none"))
        small = await alice.publish("wf/small", 1, kind="event")
        assert small.offset == 0
        assert not publishing.done()
        assert (await anext(messages)).stream == "wf/small"
        assert (await anext(messages)).tensor.nbytes == large.nbytes
        await publishing


async def test_many_small_messages_travel_as_record_batches(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    async with bob.subscribe("wf/loss").batches() as batches:
        for step in range(20_000):
            alice.publish_nowait("wf/loss", np.full(4, step, np.float32), kind="event")
        received: list[RecordBatch] = []
        while sum(batch.count for batch in received) < 20_000:
            received.append(await anext(batches))
    assert len(received) < 200
    records = np.concatenate([batch.array for batch in received])
    np.testing.assert_array_equal(records[:, 0], np.arange(20_000))
    assert [batch.offset for batch in received] == np.cumsum([0] + [batch.count for batch in received])[:-1].tolist()


async def test_batches_of_single_messages_have_one_record(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    async with bob.subscribe("wf/x").batches() as batches:
        await alice.publish("wf/x", np.arange(3))
        batch = await anext(batches)
    assert (batch.count, batch.array.shape) == (1, (1, 3))


async def test_several_subscriptions_of_one_client_each_get_the_message(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    async with bob.subscribe("wf/x") as exact, bob.subscribe("wf/*") as wild, bob.subscribe("other/*") as other:
        await alice.publish("wf/x", 1, kind="event")
        assert (await anext(exact)).offset == (await anext(wild)).offset == 0
        assert other.stats.received == 0


async def test_a_late_joiner_gets_the_newest_state(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    for step in range(3):
        await alice.publish("wf/x", step, kind="state")
    async with bob.subscribe("wf/x") as messages:
        assert (await anext(messages)).tensor == 2
        await alice.publish("wf/x", 3)
        assert (await anext(messages)).tensor == 3


async def test_a_subscription_needs_no_context(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    await alice.publish("wf/x", 5)
    async for message in bob.subscribe("wf/x"):
        assert message.tensor == 5
        break


async def test_unsubscribing_ends_the_iterator(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    messages = bob.subscribe("wf/x")
    await messages.start()
    await alice.publish("wf/x", 1, kind="event")
    assert (await anext(messages)).tensor == 1
    await messages.close()
    await alice.publish("wf/x", 2)
    assert [message async for message in messages] == []


async def test_requests_and_replies(pair: tuple[Client, Client]) -> None:
    alice, bob = pair

    async def serve() -> None:
        async with bob.inbox() as requests:
            opened.set()
            async for request in requests:
                if request.headers.get("fail"):
                    await request.fail("cannot do that")
                else:
                    await request.reply(request.tensor * 2, headers={"for": request.headers})

    opened = asyncio.Event()
    serving = asyncio.ensure_future(serve())
    await opened.wait()
    reply = await alice.request("agent:bob", np.arange(4), headers={"n": 1})
    assert (reply.tensor.tolist(), reply.headers) == ([0, 2, 4, 6], {"for": {"n": 1}})
    large = np.arange(500_000, dtype=np.float32)
    np.testing.assert_array_equal((await alice.request("agent:bob", large)).tensor, large * 2)
    with pytest.raises(RequestRefused, match="agent:bob failed the request: cannot do that"):
        await alice.request("agent:bob", headers={"fail": True})
    replies = await asyncio.gather(*[alice.request("agent:bob", step) for step in range(50)])
    assert [int(reply.tensor) for reply in replies] == [2 * step for step in range(50)]
    await bob.close()
    await serving
    with pytest.raises(RequestRefused) as caught:
        await alice.request("agent:bob", 1)
    assert caught.value.code == Code.NO_SUCH_PEER


async def test_one_inbox_at_a_time(pair: tuple[Client, Client]) -> None:
    _, bob = pair
    async with bob.inbox():
        with pytest.raises(UsageError, match="open already"):
            bob.inbox()
    async with bob.inbox():
        pass


async def test_another_kind_is_refused_and_the_stream_stays_usable(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    await alice.publish("wf/x", 1, kind="state")
    with pytest.raises(RequestRefused) as mine:
        await alice.publish("wf/x", 2, kind="event")
    with pytest.raises(RequestRefused) as theirs:
        await bob.publish("wf/x", 2, kind="event")
    assert mine.value.code == theirs.value.code == Code.KIND_MISMATCH
    assert (await alice.publish("wf/x", 3)).offset == 1
    assert (await bob.publish("wf/x", 4)).offset == 2
    assert (await bob.publish("wf/x", 5, kind="state")).offset == 3


async def test_publish_nowait_raises_what_the_client_knows_by_itself(gateway: Gateway) -> None:
    told: list[Exception] = []
    async with connect(gateway.url, on_error=told.append) as client:
        await client.publish("wf/x", np.zeros(3), schema={"dtype": "float64", "shape": [3]})
        for stream, value, kind, code in (
            ("wf/*", 1, None, Code.INVALID_NAME),
            ("wf/x", np.zeros(3), "event", Code.KIND_MISMATCH),
            ("wf/x", np.zeros(4), None, Code.SCHEMA_MISMATCH),
        ):
            with pytest.raises(RequestRefused) as refused:
                client.publish_nowait(stream, value, kind=kind)
            assert refused.value.code == code
        await client.drain()
    assert told == []


async def test_a_refused_publish_nowait_is_told(gateway: Gateway) -> None:
    told: asyncio.Queue[Exception] = asyncio.Queue()
    async with connect(gateway.url) as owner, connect(gateway.url, on_error=told.put_nowait) as client:
        await owner.publish("wf/x", 1, kind="state")
        client.publish_nowait("wf/x", 2, kind="event")
        error = await told.get()
        assert isinstance(error, RequestRefused)
        assert error.code == Code.KIND_MISMATCH


async def test_what_cannot_be_sent_is_refused_where_it_is_given(pair: tuple[Client, Client]) -> None:
    alice, _ = pair
    with pytest.raises(UnsupportedDtype, match="object"):
        await alice.publish("wf/x", np.array([object()]))
    with pytest.raises(UnsupportedDtype):
        alice.publish_nowait("wf/x", np.array(["text"]))
    with pytest.raises(InvalidArgument, match="brotli"):
        await alice.publish("wf/x", 1, codec="brotli")
    with pytest.raises(InvalidArgument, match="evnt"):
        await alice.publish("wf/x", 1, kind="evnt")
    for name in ("noworkflow", "wf/", "wf/*", ""):
        with pytest.raises(RequestRefused) as caught:
            await alice.publish(name, 1)
        assert caught.value.code == Code.INVALID_NAME
    with pytest.raises(RequestRefused):
        await alice.request("bob", 1)
    with pytest.raises(RequestRefused):
        alice.subscribe("**/x")


async def test_too_much_without_waiting_is_refused(gateway: Gateway) -> None:
    async with connect(gateway.url, max_pending_bytes=1 << 20) as client:
        array = np.zeros(1 << 16, np.uint8)

        def publish_without_pause() -> None:
            for _ in range(10_000):
                client.publish_nowait("wf/x", array)

        with pytest.raises(CapacityError, match="drain"):
            publish_without_pause()
        await client.drain()
        client.publish_nowait("wf/x", array)


async def test_closing_sends_what_was_published_without_waiting(gateway: Gateway) -> None:
    async with connect(gateway.url) as subscriber, subscriber.subscribe("wf/x") as messages:
        async with connect(gateway.url) as publisher:
            for step in range(1000):
                publisher.publish_nowait("wf/x", step, kind="event")
        assert [int((await anext(messages)).tensor) for _ in range(1000)] == list(range(1000))


async def test_after_the_close_everything_says_so(gateway: Gateway) -> None:
    async with connect(gateway.url) as client:
        messages = client.subscribe("wf/x")
        await messages.start()
        requests = client.inbox()
        await requests.start()
    assert [message async for message in messages] == []
    assert [request async for request in requests] == []
    with pytest.raises(ConnectionFailed, match="closed"):
        await client.publish("wf/x", 1)
    with pytest.raises(ConnectionFailed, match="closed"):
        client.publish_nowait("wf/x", 1)
    with pytest.raises(ConnectionFailed, match="closed"):
        await client.request("agent:x")
    with pytest.raises(ConnectionFailed, match="closed"):
        client.subscribe("wf/x")
    with pytest.raises(ConnectionFailed, match="closed"):
        await client.drain()


async def test_a_new_token_can_be_given(gateway: Gateway) -> None:
    async with connect(gateway.url) as client:
        assert await client.authenticate("fresh") is None


async def test_a_setting_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(InvalidArgument, match="robot"):
        connect("ws://127.0.0.1:1", client_type="robot")


LATE_REFUSALS = [
    ("wf/event", 1.0, "state", Code.KIND_MISMATCH),
    ("wf/schema", np.zeros(3), None, Code.SCHEMA_MISMATCH),
    ("wf/schema", {"named": np.zeros(3)}, None, Code.SCHEMA_MISMATCH),
    ("wf/event", np.zeros(1 << 20), None, Code.MESSAGE_TOO_BIG),
]


@pytest.mark.parametrize(("stream", "value", "kind", "code"), LATE_REFUSALS)
async def test_a_refusal_that_is_known_is_raised_by_the_call(
    stream: str, value: object, kind: str | None, code: Code
) -> None:
    told: list[Exception] = []
    core = CoreSettings(limits=Limits(max_message_bytes=1 << 20))
    settings = Settings(admin_port=None, core=core)
    async with running_gateway(settings) as gateway, connect(gateway.url, on_error=told.append) as client:
        await client.publish("wf/event", 1.0, kind="event")
        await client.publish("wf/schema", np.zeros(2), schema={"dtype": "float64", "shape": [2]})
        with pytest.raises(RequestRefused) as refused:
            await client.publish(stream, value, kind=kind)
        assert refused.value.code == code
        with pytest.raises(RequestRefused) as refused:
            client.publish_nowait(stream, value, kind=kind)
        assert refused.value.code == code
        client.publish_nowait("wf/event", 2.0)
        assert (await client.publish("wf/event", 3.0)).offset == 2
    assert told == []


REFUSED_VALUES = [
    ("nope", 1, {}),
    ("wf/" + 300 * "a", 1, {}),
    ("agent:bob", 1, {}),
    ("wf/x", np.array([object()]), {}),
    ("wf/x", np.array(["text"]), {}),
    ("wf/x", np.zeros(3, [("a", "f4"), ("b", "i4")]), {}),
    ("wf/x", np.zeros(3, np.longdouble), {}),
    ("wf/x", np.zeros(3, "V5"), {}),
    ("wf/x", np.zeros(3, "M8[s]"), {}),
    ("wf/x", [[1, 2], [3]], {}),
    ("wf/x", 2**70, {}),
    ("wf/x", np.ma.masked_array([1, 2], mask=[False, True]), {}),
    ("wf/x", {1: 2.0}, {}),
    ("wf/x", {300 * "a": 2.0}, {}),
    ("wf/x", {"\ud800": 2.0}, {}),
    ("wf/x", {f"t{number}": 1 for number in range(256)}, {}),
    ("wf/x", 1, {"kind": "nope"}),
    ("wf/x", 1, {"headers": {"a": object()}}),
    ("wf/x", 1, {"headers": {"a": 70_000 * "x"}}),
    ("wf/x", 1, {"headers": {"a": 2**70}}),
    ("wf/x", 1, {"headers": {"a": "\ud800"}}),
    ("wf/x", 1, {"headers": {1: 2}}),
    ("wf/x", 1, {"headers": [1]}),
]


@pytest.mark.parametrize(("stream", "value", "keywords"), REFUSED_VALUES, ids=range(len(REFUSED_VALUES)))
async def test_an_input_that_publish_refuses_is_refused_by_the_call_of_publish_nowait(
    pair: tuple[Client, Client], stream: str, value: object, keywords: dict[str, Any]
) -> None:
    alice, _ = pair
    with pytest.raises(FrysError) as awaited:
        await alice.publish(stream, value, **keywords)
    alice.publish_nowait("wf/x", 1.0)
    with pytest.raises(FrysError) as at_once:
        alice.publish_nowait(stream, value, **keywords)
    assert (type(at_once.value), str(at_once.value)) == (type(awaited.value), str(awaited.value))
    assert (await alice.publish("wf/x", 2.0)).offset == 1


CALLS: dict[str, Callable[[Client, Subscription, Inbox, ReplyStream], Any]] = {
    "publish": lambda client, *_: client.publish("wf/x", 1),
    "publish_nowait": lambda client, *_: client.publish_nowait("wf/x", 1),
    "drain": lambda client, *_: client.drain(),
    "subscribe": lambda client, *_: client.subscribe("wf/x"),
    "account": lambda client, messages, *_: client.account(messages),
    "request": lambda client, *_: client.request("agent:nobody"),
    "request_stream": lambda client, *_: client.request_stream("agent:nobody"),
    "inbox": lambda client, *_: client.inbox(group="other"),
    "authenticate": lambda client, *_: client.authenticate("token"),
    "close": lambda client, *_: client.close(),
    "start of a subscription": lambda client, messages, *_: messages.start(),
    "next message": lambda client, messages, *_: anext(messages),
    "next batch": lambda client, messages, *_: anext(messages.batches()),
    "start of an inbox": lambda client, messages, requests, replies: requests.start(),
    "next request": lambda client, messages, requests, replies: anext(requests),
    "next reply": lambda client, messages, requests, replies: anext(replies),
}


async def test_every_call_in_another_loop_raises_at_once(gateway: Gateway) -> None:
    async with connect(gateway.url) as client:
        messages, requests = client.subscribe("wf/x"), client.inbox()
        replies = client.request_stream("agent:nobody")

        async def call(name: str) -> None:
            called = CALLS[name](client, messages, requests, replies)
            if inspect.isawaitable(called):
                await called

        def use() -> None:
            for name in CALLS:
                with pytest.raises(UsageError, match="another event loop"):
                    asyncio.run(call(name))

        await asyncio.to_thread(use)
        result = await client.publish("wf/x", 1)
        assert result.offset == 0


def test_the_end_of_asyncio_run_closes_a_client_that_sends_what_waits() -> None:
    async def leave(url: str) -> Client:
        client = await connect(url)
        for step in range(200):
            client.publish_nowait("wf/x", np.full(5000, step, np.float32), kind="event")
        return client

    async def use(client: Client) -> None:
        client.publish_nowait("wf/x", 1)

    with (
        running_gateway_process() as gateway,
        sync.connect(gateway.url) as reader,
        reader.subscribe("wf/x") as messages,
    ):
        client = asyncio.run(leave(gateway.url))
        assert client.state is ClientState.CLOSED
        assert [float(next(messages).tensor[0]) for _ in range(200)] == list(range(200))
        with pytest.raises(ConnectionFailed, match="its event loop has ended: connect in each"):
            asyncio.run(use(client))
        asyncio.run(client.close())


async def test_a_client_that_is_dropped_while_it_is_open_is_closed_with_a_warning(gateway: Gateway) -> None:
    messages = (await connect(gateway.url, client_id="dropped")).subscribe("wf/x")
    cycle: list[object] = [messages]
    cycle.append(cycle)
    await messages.start()
    async with connect(gateway.url) as other:
        await other.publish("wf/x", 7, kind="event")
    assert int((await anext(messages)).tensor) == 7  # what it gave keeps it open
    del messages, cycle
    with pytest.warns(ResourceWarning, match="was not closed"):
        gc.collect()
    await until(lambda: not len(gateway.core.pool))


async def test_an_error_of_the_program_is_not_replaced_by_one_of_closing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave(entered: Any) -> None:
        async with entered as each:
            whole = each.close

            async def fail(**_: object) -> None:
                await whole()
                raise ConnectionFailed("of closing")

            monkeypatch.setattr(each, "close", fail)
            raise ValueError("of the program")

    async with connect(gateway.url) as client:
        for entered in (connect(gateway.url), client.subscribe("wf/x"), client.inbox()):
            with pytest.raises(ValueError, match="of the program"):
                await leave(entered)
    assert caplog.text.count("closing failed") == 3


async def test_closing_twice_and_out_of_order_raises_nothing(gateway: Gateway) -> None:
    async with connect(gateway.url) as client, client.subscribe("wf/x") as messages, client.inbox() as requests:
        replies = client.request_stream("agent:nobody")
        await asyncio.gather(client.close(), client.close())
        for _ in range(2):
            await messages.close()
            await requests.close()
            replies.close()
            await client.close()
