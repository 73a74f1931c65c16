"""Tests requests and replies without a loop, with a real gateway in a process of its own."""

import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest

from gateway.client import sync
from gateway.errors import Code, ConnectionFailed, InvalidArgument, RequestRefused, RequestTimeout
from gateway.testing import GatewayProcess, running_gateway_process

Serve = Callable[[sync.Request], object]


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    """One gateway for all tests here; each uses a group of its own."""
    with running_gateway_process() as running:
        yield running


class Agent:
    """A client in a thread of its own, which answers as it is told."""

    def __init__(self, url: str, group: str, serve: Serve) -> None:
        self.client = sync.connect(url)
        self._inbox = self.client.inbox(group=group)
        self._inbox.start()
        self._serve = serve
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for request in self._inbox:
            self._serve(request)

    def close(self) -> None:
        self._inbox.close()
        self._thread.join()
        self.client.close()


@pytest.fixture
def agents(gateway: GatewayProcess) -> Iterator[Callable[[str, Serve], Agent]]:
    started: list[Agent] = []

    def start(group: str, serve: Serve) -> Agent:
        started.append(Agent(gateway.url, group, serve))
        return started[-1]

    yield start
    for agent in started:
        agent.close()


def test_a_request_is_not_acknowledged(gateway: GatewayProcess, agents: Callable[[str, Serve], Agent]) -> None:
    def serve(request: sync.Request) -> None:
        request.ack()
        request.nack()
        with pytest.raises(InvalidArgument):
            request.nack(0)
        request.reply(request.tensor)

    agents("echo", serve)
    with sync.connect(gateway.url) as client:
        assert client.request("group:echo", 7).tensor == 7


def test_a_group_answers(gateway: GatewayProcess, agents: Callable[[str, Serve], Agent]) -> None:
    for _ in range(2):
        agents("double", lambda request: request.reply(request.tensor * 2))
    with sync.connect(gateway.url) as client:
        replies = [client.request("group:double", np.arange(3) + step) for step in range(4)]
        for step, reply in enumerate(replies):
            np.testing.assert_array_equal(reply.tensor, (np.arange(3) + step) * 2)
        assert len({reply.publisher for reply in replies}) == 2


def test_an_agent_thinks_aloud(gateway: GatewayProcess, agents: Callable[[str, Serve], Agent]) -> None:
    def count(request: sync.Request) -> None:
        for step in range(int(request.tensor)):
            request.reply_partial(step)
        request.reply(headers={"done": True})

    agents("count", count)
    with sync.connect(gateway.url) as client:
        with client.request_stream("group:count", 3) as stream:
            parts = list(stream)
        assert [int(part.tensor) for part in parts[:-1]] == [0, 1, 2]
        assert parts[-1].headers == {"done": True}
        assert client.request("group:count", 3).headers == {"done": True}


@pytest.mark.parametrize("how", ["break", "close", "time", "deadline"])
def test_an_agent_stops_when_nobody_waits(
    gateway: GatewayProcess, agents: Callable[[str, Serve], Agent], how: str
) -> None:
    stopped = threading.Event()
    told = threading.Event()

    def think(request: sync.Request) -> None:
        request.on_cancel(told.set)
        assert not request.wait_cancelled(timeout_s=0)
        request.reply_partial(1)
        if request.wait_cancelled() and request.cancelled:
            stopped.set()
        request.reply(2)

    agents(f"think-{how}", think)
    with sync.connect(gateway.url) as client:
        address = f"group:think-{how}"
        if how == "break":
            for part in client.request_stream(address):
                assert part.tensor == 1
                break
        elif how == "close":
            stream = client.request_stream(address)
            assert next(stream).tensor == 1
            stream.close()
            assert list(stream) == []
        elif how == "time":
            with pytest.raises(RequestTimeout):
                client.request(address, timeout_s=0.2)
        else:
            with pytest.raises(RequestRefused) as caught:
                client.request(address, expires_in_s=0.2)
            assert caught.value.code == Code.EXPIRED
        assert stopped.wait(20)
        assert told.wait(20)


def test_a_failure_says_why(gateway: GatewayProcess, agents: Callable[[str, Serve], Agent]) -> None:
    agents("fail", lambda request: request.fail("out of paper"))
    with sync.connect(gateway.url) as client, pytest.raises(RequestRefused, match="out of paper"):
        next(client.request_stream("group:fail"))


def close_before_the_next_call(client: sync.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another thread may close the client, between a look at it and its use."""
    run = client._thread.run

    def close_and_run(work: Coroutine[Any, Any, object]) -> object:
        monkeypatch.undo()
        client.close()
        return run(work)

    monkeypatch.setattr(client._thread, "run", close_and_run)


def test_iterators_end_when_another_thread_closes_the_client(
    gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sync.connect(gateway.url) as client, client.subscribe("closing/*") as messages:
        for step in range(3):
            client.publish("closing/x", step, kind="event")
        close_before_the_next_call(client, monkeypatch)
        assert [int(message.tensor) for message in messages] == [0, 1, 2]
    with sync.connect(gateway.url) as client, client.inbox() as requests:
        close_before_the_next_call(client, monkeypatch)
        assert list(requests) == []


def test_replies_that_the_close_cuts_off_do_not_end_as_if_they_were_complete(
    gateway: GatewayProcess, agents: Callable[[str, Serve], Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on = threading.Event()

    def serve(request: sync.Request) -> None:
        request.reply_partial(1)
        if request.headers["last"]:
            request.reply(2)
        else:
            going_on.wait(10)

    agents("cut", serve)
    with sync.connect(gateway.url) as client:
        complete = client.request_stream("group:cut", headers={"last": True})
        received = [int(next(complete).tensor)]
        while not complete._source.buffer.over:
            time.sleep(0.001)
        cut = client.request_stream("group:cut", headers={"last": False})
        assert next(cut).tensor == 1
        never_begun = client.request_stream("group:cut")
        close_before_the_next_call(client, monkeypatch)
        with pytest.raises(ConnectionFailed):
            next(cut)
        assert [*received, *(int(part.tensor) for part in complete)] == [1, 2]
        for replies in (cut, never_begun):
            with pytest.raises(ConnectionFailed):
                next(replies)
        assert list(complete) == []
    going_on.set()
