"""Code of the program that the client calls: it ends the program, or uses the client itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import uvloop

from gateway.client import Backoff, sync
from gateway.errors import RequestRefused
from gateway.testing import GatewayProcess, running_gateway_process


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    with running_gateway_process() as running:
        yield running


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, BaseException])
def test_a_token_function_that_ends_its_thread_is_one_failed_attempt(
    gateway: GatewayProcess, raised: type[BaseException], loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    called: list[int] = []

    def token() -> str:
        called.append(1)
        if len(called) == 2:
            raise raised
        return "token"

    quick = Backoff(base_s=0.01, cap_s=0.01)
    with sync.connect(gateway.url, loop_factory=loop_factory, token=token, backoff=quick) as client:
        client.publish("wf/x", 1)
        session = client._core.session
        assert session is not None
        client._thread.call_soon(lambda: session.abort("cut"))
        while len(called) < 3:
            client.publish("wf/x", 2, timeout_s=10)


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt])
def test_an_error_callback_that_ends_its_thread_loses_nothing(
    gateway: GatewayProcess, raised: type[BaseException]
) -> None:
    streams = [f"wf/{raised.__name__}-{number}" for number in range(10)]

    told: list[Exception] = []
    all_told = threading.Event()

    def fail(error: Exception) -> None:
        told.append(error)
        if len(told) == len(streams):
            all_told.set()
        raise raised

    with sync.connect(gateway.url) as other, sync.connect(gateway.url, on_error=fail) as client:
        for stream in streams:
            other.publish(stream, 0, kind="event")
        for stream in streams:
            client.publish_nowait(stream, 1, kind="state")  # refused together, in one WebSocket message
        assert all_told.wait(10)
        for stream in streams:
            assert client.publish(stream, 2, timeout_s=10).offset == 1


class Asking:
    """An array-like that uses the client while numpy makes an array of it."""

    def __init__(self, client: sync.Client) -> None:
        self._client = client

    def __array__(self, *_: object, **__: object) -> Any:
        self._client.publish_nowait("wf/asked", 1)
        return np.full(2, float(self._client.publish("wf/asked", 2, timeout_s=10).offset > 0))


def test_an_array_that_takes_the_client_to_be_made_does_not_wait_for_itself(gateway: GatewayProcess) -> None:
    received: list[str] = []

    def use() -> None:
        with sync.connect(gateway.url, client_id="asking") as client, client.subscribe("made/*") as messages:
            client.publish_nowait("made/a", Asking(client), kind="event")
            client.publish_nowait("made/b", {"x": Asking(client)}, kind="event")
            client.publish("made/c", Asking(client), kind="event")
            client.publish("made/d", value={"x": Asking(client)}, kind="event", headers={"a": 1})
            for _, message in zip(range(4), messages, strict=False):
                assert all(tensor.tolist() == [1.0, 1.0] for tensor in message.tensors.values())
                received.append(message.stream)
            with pytest.raises(RequestRefused, match="NO_SUCH_PEER"):
                client.request("agent:nobody", Asking(client))
            with pytest.raises(RequestRefused, match="NO_SUCH_PEER"):
                next(client.request_stream("agent:nobody", Asking(client)))
            received.append("all")

    using = threading.Thread(target=use, daemon=True)
    using.start()
    using.join(30)
    assert received == ["made/a", "made/b", "made/c", "made/d", "all"]
