"""Every argument of the SDK with values that it cannot have: one FrysError at the call, which shows the value."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from gateway.client import Backoff, Client, Credits, View, connect, sync
from gateway.errors import FrysError, RequestRefused, UsageError
from gateway.protocol.arguments import shown
from gateway.protocol.limits import Limits
from gateway.testing import GatewayProcess, running_gateway_process


class Hostile:
    """An object of which almost every use fails."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise RuntimeError("cannot be shown")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("cannot be compared")

    def __index__(self) -> int:
        raise RuntimeError("is no index")

    def __float__(self) -> float:
        raise RuntimeError("is no float")

    def __array__(self, *_: object, **__: object) -> Any:
        raise RuntimeError("is no array")


class Closed:
    """An object that does not even tell its class."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("has no class")

    def __hash__(self) -> int:
        raise RuntimeError("has no hash")


class BrokenMapping(dict[Any, Any]):
    """A mapping that cannot be read."""

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("is closed")

    keys = __iter__  # type: ignore[assignment]


class BrokenList(list[Any]):
    """A list that cannot be read."""

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("is closed")


class Masked:
    """An array-like whose array has a mask."""

    def __array__(self, *_: object, **__: object) -> Any:
        return np.ma.masked_array([1, 2], [True, False])


HELD_BY_ITSELF: list[Any] = []
HELD_BY_ITSELF += [HELD_BY_ITSELF, HELD_BY_ITSELF]

Use = Callable[[Client, str, Any], object]
"""Call with an argument of a wrong value."""

TEXT = ["a/b", "5", "\udc80"]
NUMBERS = [0, 5, -1, 2**70, 10**400, 1.5, float("nan"), float("inf"), 1 + 2j, True, np.float64(2.0), np.int64(3)]
OTHERS = [
    b"a/b",
    bytearray(b"a/b"),
    [],
    ["a/b", "c/d"],
    ("a/b", "c/d"),
    {},
    {"a": 1},
    {1},
    iter([1]),
    object(),
    Hostile(),
    Closed(),
    memoryview(bytearray(b"a/b")),
    np.zeros(2),
    np.array("a/b"),
]
NOT_TEXT = [*NUMBERS, *OTHERS]
NO_CODE = [*TEXT, *NUMBERS, *OTHERS]
"""Values that cannot be called, and are no flag, view and so on."""


async def answer_later(*_: object) -> None:
    """A callback that nobody would await."""


NO_CALLBACK = [*NO_CODE, answer_later]
NOT_SECONDS = [*TEXT, -1, 10**400, float("nan"), float("inf"), float("-inf"), 1 + 2j, True, *OTHERS]
NOT_A_COUNT = [*TEXT, 0, -1, 2**70, 10**400, 1.5, float("nan"), float("inf"), 1 + 2j, True, np.float64(2.0), *OTHERS]
NOT_A_FLAG = [None, *TEXT, *(value for value in NUMBERS if value is not True), *OTHERS]
NOT_A_POSITION = [
    "",
    "5",
    "end",
    -1,
    2**70,
    1.5,
    float("nan"),
    1 + 2j,
    True,
    (1,),
    (1, 2, 3),
    (1, -1),
    ("a", 1),
    *OTHERS,
]
NO_MAPPING = [*TEXT, *NUMBERS, *(value for value in OTHERS if type(value) is not dict), BrokenMapping(a=1)]
NOT_A_CODEC = ["zip", "lz4+zstd", "zstd:x", "\udc80", *NOT_TEXT]
NO_INDEX = [*TEXT, 1.5, 2**70, 1 + 2j, True, float("nan"), np.s_["a":], *OTHERS[:3], {}, Hostile(), Closed()]
NAMES = itertools.count()
SCALAR = {"dtype": "int64", "shape": []}


async def settled(call: Callable[[], object]) -> None:
    """Make a call, and wait for its result if it is one to be awaited."""
    result = call()
    if isinstance(result, Awaitable):
        await asyncio.wait_for(result, 10)


def published(argument: str) -> Use:
    def use(client: Client, _: str, value: Any) -> object:
        return client.publish(f"wrong/{next(NAMES)}", np.zeros(2), **{argument: value})

    return use


def published_nowait(argument: str) -> Use:
    return lambda client, _, value: client.publish_nowait(f"wrong/{next(NAMES)}", np.zeros(2), **{argument: value})


def subscribed(argument: str) -> Use:
    return lambda client, _, value: client.subscribe("wrong/*", **{argument: value})


def requested(argument: str) -> Use:
    return lambda client, _, value: client.request("agent:nobody", **{"timeout_s": 1.0, argument: value})


async def _parts(client: Client, argument: str, value: object) -> None:
    options: dict[str, Any] = {"timeout_s": 1.0, argument: value}
    async for _ in client.request_stream("agent:nobody", **options):
        pass


def streamed(argument: str) -> Use:
    return lambda client, _, value: _parts(client, argument, value)


def connected(argument: str) -> Use:
    return lambda _, url, value: connect(**{"url": url, argument: value})


async def _closed(client: Client, keep: Any) -> None:
    messages = client.subscribe("wrong/*")
    await messages.start()
    try:
        await messages.close(keep=keep)
    finally:
        await messages.close()


USES: dict[str, tuple[Use, list[Any]]] = {
    "publish stream": (lambda client, _, value: client.publish(value, 1), [None, *NOT_TEXT]),
    "publish kind": (published("kind"), [*TEXT, *NOT_TEXT]),
    "publish durability": (published("durability"), [*TEXT, *NOT_TEXT]),
    "publish headers": (published("headers"), NO_MAPPING),
    "publish codec": (published("codec"), NOT_A_CODEC),
    "publish progress": (published("progress"), NO_CALLBACK),
    "publish timeout_s": (published("timeout_s"), NOT_SECONDS),
    "publish expires_in_s": (published("expires_in_s"), [*NOT_SECONDS, 2**70]),
    "publish region": (published("region"), NO_INDEX),
    "publish tensor": (published("tensor"), NOT_TEXT),
    "publish schema": (published("schema"), NO_MAPPING),
    "publish schema fields": (
        lambda client, _, value: client.publish("wrong/schema", 1, schema={value: SCALAR}),
        ["\udc80", 5, None, b"a"],
    ),
    "publish schema tensors": (
        lambda client, _, value: client.publish("wrong/schema", 1, schema={"tensors": {value: SCALAR}}),
        ["\udc80", 5, None, b"a"],
    ),
    "publish region without a state": (
        lambda client, _, value: client.publish("wrong/region", np.zeros(1), region=value),
        [2**64, np.s_[0 : 1 : 2**64]],
    ),
    "publish_nowait stream": (lambda client, _, value: client.publish_nowait(value, 1), [None, *NOT_TEXT]),
    "publish_nowait stream without a value": (
        lambda client, _, value: client.publish_nowait(value, None),
        [None, *NOT_TEXT],
    ),
    "publish_nowait kind": (published_nowait("kind"), [*TEXT, *NOT_TEXT]),
    "publish_nowait headers": (published_nowait("headers"), NO_MAPPING),
    "subscribe pattern": (
        lambda client, _, value: client.subscribe(value),
        [None, "agent:me", "group:workers", *NOT_TEXT],
    ),
    "subscribe since": (subscribed("since"), NOT_A_POSITION),
    "subscribe view": (subscribed("view"), NO_CODE),
    "subscribe buffer_bytes": (subscribed("buffer_bytes"), [None, *NOT_A_COUNT]),
    "subscribe conflate": (subscribed("conflate"), NOT_A_FLAG),
    "subscribe auto_ack": (subscribed("auto_ack"), NOT_A_FLAG),
    "subscribe credits": (subscribed("credits"), NO_CODE),
    "subscribe observe": (subscribed("observe"), NOT_A_FLAG[1:]),
    "close keep": (lambda client, _, value: _closed(client, value), NOT_A_FLAG),
    "subscribe on_error": (subscribed("on_error"), NO_CALLBACK),
    "subscribe on_gap": (subscribed("on_gap"), NO_CALLBACK),
    "subscribe on_ended": (subscribed("on_ended"), NO_CALLBACK),
    "subscribe progress": (subscribed("progress"), NO_CALLBACK),
    "account": (lambda client, _, value: client.account(value), [None, *NO_CODE]),
    "request address": (lambda client, _, value: client.request(value), [None, *NOT_TEXT]),
    "request headers": (requested("headers"), NO_MAPPING),
    "request codec": (requested("codec"), NOT_A_CODEC),
    "request timeout_s": (requested("timeout_s"), NOT_SECONDS),
    "request expires_in_s": (requested("expires_in_s"), [0, *NOT_SECONDS, 2**70]),
    "request_stream address": (
        lambda client, _, value: client.request_stream(value).start(),
        [None, *NOT_TEXT],
    ),
    "request_stream codec": (streamed("codec"), NOT_A_CODEC),
    "request_stream timeout_s": (streamed("timeout_s"), NOT_SECONDS),
    "request_stream expires_in_s": (streamed("expires_in_s"), [0, *NOT_SECONDS]),
    "request_stream buffer_bytes": (streamed("buffer_bytes"), [None, *NOT_A_COUNT]),
    "inbox group": (lambda client, _, value: client.inbox(group=value), ["", "a/b", "\udc80", *NOT_TEXT]),
    "inbox buffer_bytes": (lambda client, _, value: client.inbox(buffer_bytes=value), [None, *NOT_A_COUNT]),
    "authenticate": (lambda client, _, value: client.authenticate(value), [None, "\udc80", *NOT_TEXT]),
    "connect url": (connected("url"), [None, *NOT_TEXT]),
    "connect client_type": (connected("client_type"), [None, *TEXT, *NOT_TEXT]),
    "connect client_id": (connected("client_id"), ["\udc80", *NOT_TEXT]),
    "connect token": (connected("token"), ["\udc80", *NOT_TEXT]),
    "connect connect_timeout_s": (connected("connect_timeout_s"), [None, 0, *NOT_SECONDS]),
    "connect close_timeout_s": (connected("close_timeout_s"), [None, 0, *NOT_SECONDS]),
    "connect backoff": (connected("backoff"), NO_CODE),
    "connect max_pending_bytes": (connected("max_pending_bytes"), [None, *NOT_A_COUNT]),
    "connect limits": (connected("limits"), [None, *NO_CODE]),
    "connect limits frame": (
        lambda _, url, value: connect(url, limits=Limits(max_frame_bytes=value)),
        [None, 1 << 20, *NOT_A_COUNT],
    ),
    "connect limits message": (
        lambda _, url, value: connect(url, limits=Limits(max_message_bytes=value)),
        [None, *NOT_A_COUNT],
    ),
    "connect tls": (connected("tls"), NO_CODE),
    "connect on_error": (connected("on_error"), NO_CALLBACK),
    "connect on_notice": (connected("on_notice"), NO_CALLBACK),
    "View slice": (lambda _, __, value: View(slice=value), [*TEXT, None, 1.5, 2**70, True, *OTHERS[:3], {}, Hostile()]),
    "View dtype": (lambda _, __, value: View(dtype=value), [*TEXT, 5, True, [], Hostile(), object()]),
    "View max_rate_hz": (lambda _, __, value: View(max_rate_hz=value), [0, 2**70, *NOT_SECONDS]),
    "View tensor": (lambda _, __, value: View(tensor=value), ["x" * 300, "\udc80", *NOT_TEXT]),
    "Credits messages": (
        lambda client, _, value: client.subscribe("wrong/*", credits=Credits(value, 1)),
        [None, 2**32, *NOT_A_COUNT],
    ),
    "Credits bytes": (
        lambda client, _, value: client.subscribe("wrong/*", credits=Credits(1, value)),
        [None, 2**53, *NOT_A_COUNT],
    ),
    "Backoff base_s": (lambda _, __, value: Backoff(base_s=value), [None, 21.0, *NOT_SECONDS]),
    "Backoff cap_s": (lambda _, __, value: Backoff(cap_s=value), [None, 0.1, *NOT_SECONDS]),
    "Backoff later_s": (lambda _, __, value: Backoff(later_s=value), [None, *NOT_SECONDS]),
    "Backoff stable_s": (lambda _, __, value: Backoff(stable_s=value), [None, *NOT_SECONDS]),
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    with running_gateway_process() as running:
        yield running


@pytest.mark.parametrize("name", USES)
async def test_a_wrong_value_is_refused_at_the_call(gateway: GatewayProcess, name: str) -> None:
    use, values = USES[name]
    async with connect(gateway.url, client_id="me") as client:
        for value in values:
            with pytest.raises(FrysError) as refused:
                await settled(partial(use, client, gateway.url, value))
            text = str(refused.value)
            assert type(refused.value) is not FrysError
            written = "'a':" if type(value) is slice and value.stop is None else shown(value)[:20].strip("'\"")
            written = str(2**64) if type(value) is slice and value.step else written
            assert written in text, text
        await client.publish("wrong/after", np.zeros(2), timeout_s=10)  # the client is whole


def test_an_option_that_does_not_exist_is_named(gateway: GatewayProcess) -> None:
    for opened in (connect, sync.connect):
        with pytest.raises(UsageError, match=r"conect_timeout_s=5: .*did you mean connect_timeout_s"):
            opened(gateway.url, conect_timeout_s=5)  # type: ignore[call-arg]
        with pytest.raises(UsageError, match=r"colour='red': .*there are client_type, "):
            opened(gateway.url, colour="red")  # type: ignore[call-arg]


def test_a_connection_that_is_not_awaited_says_so(gateway: GatewayProcess) -> None:
    connecting = connect(gateway.url)
    with pytest.raises(UsageError, match="await connect"):
        connecting.publish("a/b", 1)  # type: ignore[attr-defined]
    assert not hasattr(connecting, "subscribe")
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        connecting.colour  # type: ignore[attr-defined]  # noqa: B018


async def test_a_client_is_opened_once(gateway: GatewayProcess) -> None:
    async with connect(gateway.url) as client:
        with pytest.raises(UsageError, match="opened once"):
            await client.open()
    with pytest.raises(UsageError, match="opened once"):
        await client.open()


def test_the_blocking_client_refuses_the_same(gateway: GatewayProcess) -> None:
    with sync.connect(gateway.url, client_id="blocking") as client:
        for value in (None, 5, "messages", Hostile()):
            with pytest.raises(UsageError, match="subscription"):
                client.account(value)  # type: ignore[arg-type]
        for timeout_s in NOT_SECONDS:
            with pytest.raises(UsageError, match="timeout_s"):
                client.publish("wrong/x", 1, timeout_s=timeout_s)  # type: ignore[arg-type]
        for stream in (None, *NOT_TEXT):
            with pytest.raises(UsageError, match="stream"):
                client.publish_nowait(stream, 1)  # type: ignore[arg-type]
        for factory in (5, "uvloop", Hostile()):
            with pytest.raises(UsageError, match="loop_factory"):
                sync.connect(gateway.url, loop_factory=factory)  # type: ignore[arg-type]
        with client.inbox() as requests, sync.connect(gateway.url) as asker:
            parts = asker.request_stream("agent:blocking")
            asking = asker._thread.run(_begin(parts))
            request = next(requests)
            for timeout_s in NOT_SECONDS:
                with pytest.raises(UsageError, match="timeout_s"):
                    request.wait_cancelled(timeout_s)  # type: ignore[arg-type]
            for callback in [None, *NO_CODE[:5], answer_later]:
                with pytest.raises(UsageError, match="callback"):
                    request.on_cancel(callback)  # type: ignore[arg-type]
            with pytest.raises(UsageError, match="codec"):
                request.reply(1, codec=5)  # type: ignore[arg-type]
            for reason in (None, RuntimeError("x"), "\udc80", *NUMBERS):
                with pytest.raises(UsageError, match="error="):
                    request.fail(reason)  # type: ignore[arg-type]
            request.reply(1)
            assert asking is None
            parts.close()


async def _begin(parts: Any) -> None:
    parts._source.start()


VALUES: list[tuple[object, str]] = [
    (Hostile(), "is no array"),
    ([[1], [2, 3]], "cannot make an array of a list"),
    ({1, 2}, "make a list"),
    ((number for number in range(3)), "make a list"),
    ({"a": 1}.values(), "make a list"),
    (b"abc", "np.frombuffer"),
    ("text", "headers"),
    (np.array(["text"]), "headers"),
    (object(), "numeric dtype"),
    (np.array([object()]), "numeric dtype"),
    ([None], "numeric dtype"),
    (np.array(1, "M8[s]"), "int64"),
    (np.zeros(2, [("a", "i4")]), "each field"),
    (np.ma.masked_array([1], [True]), "mask"),
    ([np.ma.masked_array([1, 2], [True, False]), np.zeros(2)], "mask"),
    ([[np.ma.masked]], "mask"),
    ({"a": np.ma.masked_array([1], [True])}, "mask"),
    ({str(number): 1 for number in range(256)}, "256 tensors"),
    ({1: 2}, "named by strings"),
    ({"\udc80": 1}, "Unicode"),
    ({"x" * 300: 1}, "300 bytes"),
    (2**70, "64 bits"),
    (np.longdouble(1), "float64"),
    ({"a": {"b": 1}}, "numeric dtype"),
    ([Closed()], "numeric dtype"),
    (BrokenMapping(a=1), "is closed"),
    (BrokenList([1]), "is closed"),
    (Masked(), "mask"),
    (deque([np.ma.masked_array([1, 2], [True, False])]), "mask"),
    (HELD_BY_ITSELF, "recursion"),
    (np.broadcast_to(np.float32(1), 2**44), "70368744177664 bytes"),
    (np.broadcast_to(np.array(1, ">f4"), 2**44), "70368744177664 bytes"),
]


@pytest.mark.parametrize(("value", "hint"), VALUES, ids=[type(value).__name__ + hint for value, hint in VALUES])
async def test_what_is_no_tensor_gets_a_way_out(gateway: GatewayProcess, value: object, hint: str) -> None:
    async with connect(gateway.url) as client:
        for publish in (client.publish, client.publish_nowait):
            with pytest.raises(UsageError, match=hint):
                await settled(partial(publish, "wrong/value", value))


async def test_a_value_without_a_class_gets_a_way_out(gateway: GatewayProcess) -> None:
    async with connect(gateway.url) as client:
        for publish in (client.publish, client.publish_nowait):
            with pytest.raises(UsageError, match="has no class"):
                await settled(partial(publish, "wrong/value", Closed()))


HEADERS: list[tuple[dict[Any, Any], str]] = [
    ({"a": b"x"}, "'a': b'x'"),
    ({1: 2}, "1: 2"),
    ({"\udc80": 1}, "udc80"),
    ({"fine": 1, "a": {"b": [object()]}}, "'a': .*not JSON serializable"),
    ({"a": 2**70}, "1180591620717411303424"),
    ({"a": 1 + 2j}, "complex"),
    ({"a": {1}}, "set"),
    ({"a": "x" * 70_000}, "70008 bytes"),
    ({"a": np.zeros(40_000)}, "'a' is an array .* send it as a tensor"),
    ({"a": np.zeros((40_000, 0))}, "'a' is an array .* send it as a tensor"),
    (BrokenMapping(a=1), "is closed"),
]


@pytest.mark.parametrize(("headers", "hint"), HEADERS, ids=[hint for _, hint in HEADERS])
async def test_headers_that_are_no_json_are_named(gateway: GatewayProcess, headers: Any, hint: str) -> None:
    async with connect(gateway.url) as client:
        for publish in (client.publish, client.publish_nowait):
            with pytest.raises(UsageError, match=hint):
                await settled(partial(publish, "wrong/headers", np.zeros(2), headers=headers))


async def test_a_flag_of_numpy_is_a_flag(gateway: GatewayProcess) -> None:
    yes: Any = np.True_
    async with connect(gateway.url, client_id="me") as client:
        messages = client.subscribe("right/flags", observe=yes, conflate=yes, auto_ack=yes)
        await messages.start()
        await messages.close(keep=yes)


async def test_a_token_that_the_gateway_could_not_take_does_not_end_the_connection(gateway: GatewayProcess) -> None:
    async with connect(gateway.url) as client:
        with pytest.raises(RequestRefused, match="MESSAGE_TOO_BIG"):
            await client.authenticate("x" * 10_000_000)
        await client.publish("right/after", 1)


def test_a_wrong_code_of_a_refusal_is_named(gateway: GatewayProcess) -> None:
    with sync.connect(gateway.url, client_id="worker") as client, client.subscribe("wrong/tasks") as tasks:
        client.publish("wrong/tasks", 1, kind="collaboration")
        task: Any = next(iter(tasks))
        for code in [None, *NOT_A_COUNT, 2**32]:
            with pytest.raises(UsageError, match="code="):
                task.nack(code)


async def test_numbers_that_json_lacks_arrive_as_none(gateway: GatewayProcess) -> None:
    async with connect(gateway.url) as client, client.subscribe("right/headers") as messages:
        await client.publish("right/headers", None, headers={"loss": float("nan"), "best": np.float32(1)})
        assert (await anext(messages)).headers == {"loss": None, "best": 1.0}
