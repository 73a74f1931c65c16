"""Callbacks that raise what is meant to end the program, on the thread of a blocking client, where it cannot."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
import uvloop

from gateway.client import Backoff, sync
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
