"""Tests what a program without a loop sees of the blocking client, with a real gateway in a process of its own."""

import gc
import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
import uvloop

from gateway.client import ClientState, Message, sync
from gateway.errors import CapacityError, ConnectionFailed, InvalidArgument, RequestRefused, UsageError
from gateway.testing import GatewayProcess, running_gateway_process


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    """One gateway for all tests here; each uses a workflow of its own."""
    with running_gateway_process() as running:
        yield running


@pytest.fixture
def workflow(request: pytest.FixtureRequest) -> str:
    return str(request.node.originalname)


def test_a_tensor_arrives_bit_for_bit(gateway: GatewayProcess, workflow: str) -> None:
    array = np.random.default_rng(0).random((3, 4))
    with sync.connect(gateway.url, client_id="a") as client:
        assert (client.client_id, client.state) == ("a", ClientState.CONNECTED)
        assert client.rtt_s is not None
        assert abs(client.clock_offset_s) < 60  # of one machine
        with client.subscribe(f"{workflow}/*") as messages:
            result = client.publish(f"{workflow}/x", array, kind="event", headers={"step": 1})
            message = next(messages)
            assert (message.offset, message.headers) == (result.offset, {"step": 1})
            np.testing.assert_array_equal(message.tensor, array)
            assert messages.stats.received == 1
    assert client.state is ClientState.CLOSED


def test_it_runs_on_uvloop_too(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url, loop_factory=uvloop.new_event_loop) as client:
        assert client.publish(f"{workflow}/x", np.zeros(1_000_000)).bytes_transmitted > 0


def test_publishing_without_waiting_keeps_every_message_in_order(gateway: GatewayProcess, workflow: str) -> None:
    stream = f"{workflow}/loss"
    with (
        sync.connect(gateway.url) as publisher,
        sync.connect(gateway.url) as subscriber,
        subscriber.subscribe(stream) as messages,
    ):
        array = np.zeros(4)
        for step in range(20_000):
            array[:] = step  # the array is reused
            publisher.publish_nowait(stream, array, kind="event")
        publisher.publish(stream, np.full(4, 20_000.0))
        received = 0
        for batch in messages.batches():
            expected = np.arange(received, received + batch.count)
            np.testing.assert_array_equal(batch.array[:, 0], expected)
            received += batch.count
            if received == 20_001:
                break


def test_records_come_one_by_one(gateway: GatewayProcess, workflow: str) -> None:
    stream = f"{workflow}/x"
    with sync.connect(gateway.url) as client, client.subscribe(stream) as messages:
        for step in range(100):
            client.publish_nowait(stream, step, kind="event")
        client.drain()
        assert [int(next(messages).tensor) for _ in range(100)] == list(range(100))


def test_closing_ends_the_iterators(gateway: GatewayProcess, workflow: str) -> None:
    client = sync.connect(gateway.url)
    messages = client.subscribe(f"{workflow}/*")
    messages.start()
    ended = threading.Event()

    def read() -> None:
        assert list(messages) == []
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    client.close()
    client.close()
    assert ended.wait(10)
    reader.join()
    assert list(messages.batches()) == []
    with pytest.raises(ConnectionFailed, match="closed"):
        client.publish(f"{workflow}/x", 1)
    with pytest.raises(ConnectionFailed, match="closed"):
        client.publish_nowait(f"{workflow}/x", 1)


def test_closing_a_subscription_from_another_thread_ends_its_iterator(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url) as client:
        messages = client.subscribe(f"{workflow}/*")
        messages.start()
        closing = threading.Thread(target=messages.close)
        closing.start()
        assert list(messages) == []
        closing.join()


def test_requests_and_replies(gateway: GatewayProcess) -> None:
    with sync.connect(gateway.url, client_id="planner") as planner, sync.connect(gateway.url) as client:
        requests = planner.inbox()
        requests.start()

        def serve() -> None:
            for request in requests:
                if request.tensors:
                    request.reply(request.tensor * 2, headers={"seen": request.headers})
                else:
                    request.fail("nothing to do")

        serving = threading.Thread(target=serve)
        serving.start()
        reply = client.request("agent:planner", [1, 2], headers={"n": 1})
        assert (reply.tensor.tolist(), reply.headers) == ([2, 4], {"seen": {"n": 1}})
        with pytest.raises(RequestRefused, match="nothing to do"):
            client.request("agent:planner")
        requests.close()
        serving.join()


def test_errors_are_those_of_the_async_client(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url) as client:
        with pytest.raises(InvalidArgument, match="brotli"):
            client.publish(f"{workflow}/x", 1, codec="brotli")
        with pytest.raises(RequestRefused):
            client.publish("noworkflow", 1)
        with pytest.raises(RequestRefused):
            client.publish_nowait("noworkflow", 1)
        requests = client.inbox()
        requests.start()
        with pytest.raises(UsageError):
            client.inbox()
    with pytest.raises(ConnectionFailed, match="frys serve"):
        sync.connect("ws://127.0.0.1:1")


def test_too_much_without_waiting_is_refused(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url, max_pending_bytes=1 << 20) as client:
        array = np.zeros(1 << 20, np.uint8)

        def publish_without_pause() -> None:
            for _ in range(10_000):
                client.publish_nowait(f"{workflow}/x", array)

        with pytest.raises(CapacityError, match="drain"):
            publish_without_pause()
        client.drain()
        client.publish_nowait(f"{workflow}/x", array)


def test_a_callback_that_calls_the_client_is_told_instead_of_waiting_forever(
    gateway: GatewayProcess, workflow: str
) -> None:
    with sync.connect(gateway.url) as client:

        def progress(sent: int, total: int) -> None:
            client.publish(f"{workflow}/progress", sent)

        with pytest.raises(UsageError, match="wait for itself"):
            client.publish(f"{workflow}/x", np.zeros(1_000_000), codec="none", progress=progress)


def test_threads_share_a_client(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url) as client:
        offsets: list[int] = []

        def publish() -> None:
            offsets.extend([client.publish(f"{workflow}/x", 1).offset for _ in range(50)])

        threads = [threading.Thread(target=publish) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(offsets) == list(range(200))


def test_a_token_can_be_replaced(gateway: GatewayProcess) -> None:
    with sync.connect(gateway.url) as client:
        assert client.authenticate("fresh") is None


def run(program: str, *arguments: str) -> str:
    """Run a program to its end, which has to be in order, and return its output."""
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


CALLS_IN_A_FORK = """
import multiprocessing, os, sys, threading
import numpy as np
from gateway.client import sync
from gateway.errors import UsageError

def refused(call):
    try:
        call()
    except UsageError as error:
        assert "made in another process" in str(error), error
        return True
    return False

def in_child(client, messages, requests, replies, request, message):
    calls = {
        "publish": lambda: client.publish("fork/x", 1.0, kind="event"),
        "publish_nowait": lambda: client.publish_nowait("fork/x", 1.0, kind="event"),
        "publish_nowait of a record": lambda: client.publish_nowait("fork/x", record, kind="event"),
        "drain": client.drain,
        "subscribe": lambda: client.subscribe("fork/x"),
        "account": lambda: client.account(messages),
        "request": lambda: client.request("agent:nobody"),
        "request_stream": lambda: client.request_stream("agent:nobody"),
        "inbox": lambda: client.inbox(group="other"),
        "authenticate": lambda: client.authenticate("token"),
        "next message": lambda: next(messages),
        "next batch": lambda: next(messages.batches()),
        "next request": lambda: next(requests),
        "next reply": lambda: next(replies),
        "reply": lambda: request.reply(1),
        "ack": message.ack,
        "nack": message.nack,
    }
    accepted = [name for name, call in calls.items() if not refused(call)]
    assert client.state == "closed", client.state
    for each in (messages, requests, replies, client, client):
        each.close()
    print(accepted, flush=True)

record = np.zeros(4)
with sync.connect(sys.argv[1], client_id="parent") as client, sync.connect(sys.argv[1]) as other:
    tasks = client.subscribe("fork/tasks", auto_ack=False)
    messages = client.subscribe("fork/x")
    requests = client.inbox()
    for each in (tasks, messages, requests):
        each.start()
    other.publish("fork/tasks", 1, kind="collaboration")
    message = next(tasks)
    replies = other.request_stream("agent:parent")
    client.publish_nowait("fork/x", record, kind="event")
    asking = other.request_stream("agent:parent", 1)
    asker = threading.Thread(target=lambda: list(asking))
    asker.start()
    request = next(requests)
    client.publish("fork/x", 2.0, kind="event")
    HOW
    request.reply(1)
    asker.join()
    message.ack()
    client.publish("fork/x", 3.0, kind="event")
    print([float(next(messages).tensor.flat[0]) for _ in range(3)], client.state)
"""

FORKS = {
    "os.fork": """
    child = os.fork()
    if not child:
        in_child(client, messages, requests, replies, request, message)
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
    "multiprocessing": """
    process = multiprocessing.get_context("fork").Process(
        target=in_child, args=(client, messages, requests, replies, request, message)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", FORKS)
def test_in_a_forked_process_every_call_raises_and_closing_is_silent(gateway: GatewayProcess, how: str) -> None:
    output = run(CALLS_IN_A_FORK.replace("    HOW\n", FORKS[how]), gateway.url)
    assert output.splitlines() == ["[]", "[0.0, 2.0, 3.0] connected"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_may_connect_itself(gateway: GatewayProcess) -> None:
    program = """
import os, sys
from gateway.client import sync

with sync.connect(sys.argv[1]) as client, client.subscribe("forked/x") as messages:
    child = os.fork()
    if not child:
        with sync.connect(sys.argv[1]) as own:
            own.publish("forked/x", 7, kind="event")
        os._exit(0)
    print(int(next(messages).tensor))
    os.waitpid(child, 0)
"""
    assert run(program, gateway.url) == "7\n"


def connections_of(gateway: GatewayProcess) -> int:
    """Return the number of connections that the gateway has."""
    with urllib.request.urlopen(f"{gateway.admin_url}/api/v1/connections") as answer:
        return len(json.load(answer)["connections"])


def test_a_client_that_nobody_holds_is_closed(gateway: GatewayProcess, workflow: str) -> None:
    before = connections_of(gateway)
    for step in range(20):  # as a cell of a notebook that is run 20 times
        client = sync.connect(gateway.url)
        client.publish_nowait(f"{workflow}/x", step, kind="event")
        loop = client._thread
    del client
    loop.thread.join()
    while connections_of(gateway) > before:
        pass
    with sync.connect(gateway.url) as reader, reader.subscribe(f"{workflow}/x", since="beginning") as messages:
        assert sorted(int(next(messages).tensor) for _ in range(20)) == list(range(20))


def test_what_a_client_gave_keeps_it_open(gateway: GatewayProcess, workflow: str) -> None:
    messages = sync.connect(gateway.url).subscribe(f"{workflow}/x")
    messages.start()
    client = sync.connect(gateway.url, client_id="kept")
    requests = client.inbox()
    requests.start()
    del client
    replies = sync.connect(gateway.url).request_stream("agent:kept")
    gc.collect()
    with sync.connect(gateway.url) as other:
        other.publish(f"{workflow}/x", 3, kind="event")
    answers: list[Message] = []
    asker = threading.Thread(target=answers.extend, args=(replies,))
    running = [each._thread.thread for each in (messages, requests, replies)]
    del replies
    asker.start()
    next(requests).reply(4)
    asker.join()
    assert (int(next(messages).tensor), int(answers[0].tensor)) == (3, 4)
    del messages, requests, asker
    gc.collect()
    for thread in running:
        thread.join()


def test_a_client_that_the_garbage_collector_finds_in_its_own_thread_is_closed(gateway: GatewayProcess) -> None:
    client = sync.connect(gateway.url)
    running = client._thread
    cycle: list[object] = [client]
    cycle.append(cycle)
    del client, cycle
    running.loop.call_soon_threadsafe(gc.collect)
    running.thread.join()


def test_a_callback_that_raises_system_exit_does_not_end_the_client(
    gateway: GatewayProcess, workflow: str, caplog: pytest.LogCaptureFixture
) -> None:
    with sync.connect(gateway.url) as client:
        client._thread.call_soon(sys.exit)
        client.publish(f"{workflow}/x", 1)
    assert "a callback of the application ended the loop" in caplog.text


def test_a_signal_handler_may_close_the_client_while_it_is_used(gateway: GatewayProcess, workflow: str) -> None:
    program = """
import os, signal, sys, threading
from gateway.client import sync
from gateway.errors import ConnectionFailed

client = sync.connect(sys.argv[1])
signal.signal(signal.SIGUSR1, lambda *_: client.close())
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
try:
    while True:
        client.publish_nowait("signal/x", 1.0, kind="event")
        client.publish("signal/x", 1.0, kind="event")
except ConnectionFailed as error:
    print(error)
client.close()
"""
    assert run(program, gateway.url) in ("the client is closed: connect again\n", "the client was closed meanwhile\n")
