"""Tests that a program which ends without closing its clients loses nothing, with a real gateway and real processes."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.client import sync
from gateway.client.exit_hook import ExitHook, OpenClient
from gateway.testing import GatewayProcess, running_gateway_process
from tests.free_ports import free_port
from tests.late_threads import starts_threads_at_the_end

MESSAGES = 500

START = f"""
import asyncio, atexit, multiprocessing, os, sys, threading
import numpy as np
from gateway.client import connect, sync

url, stream = sys.argv[1:3]

def publish(client):
    for step in range({MESSAGES}):
        client.publish_nowait(stream, np.full(100, step, "f4"), kind="event")

async def hold(connecting):
    global held
    held = await connecting
    return held
"""

ENDINGS = {
    "at once": """
client = sync.connect(url)
publish(client)
""",
    "by sys.exit": """
client = sync.connect(url)
publish(client)
sys.exit(0)
""",
    "by an exception": """
client = sync.connect(url)
publish(client)
raise SystemExit
""",
    "in a hook of atexit": """
client = sync.connect(url)
atexit.register(publish, client)
""",
    "with a client that a hook of atexit makes": """
atexit.register(lambda: publish(sync.connect(url)))
""",
    "in a thread when the main thread has ended": """
client = sync.connect(url)

def work():
    threading.main_thread().join()
    publish(client)

threading.Thread(target=work).start()
""",
    "with a client that a thread makes at the end": """
def work():
    threading.main_thread().join()
    publish(sync.connect(url.replace("127.0.0.1", "localhost")))

threading.Thread(target=work).start()
""",
    "in a process of multiprocessing that is forked": """
def work():
    client = sync.connect(url)
    publish(client)
    kept.append(client)

kept = []
process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
""",
    "in a finalizer of multiprocessing": """
from multiprocessing.util import Finalize

def work():
    Finalize(None, publish, (sync.connect(url),), exitpriority=-5)

process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
""",
    "with a client that was dropped": """
publish(sync.connect(url))
""",
    "with a client in a cycle": """
client = sync.connect(url)
cycle = [client]
cycle.append(cycle)
publish(client)
""",
    "at the end of asyncio.run": """
async def main():
    publish(await connect(url))

asyncio.run(main())
""",
    "at the end of asyncio.run, with a client that is held": """
async def main():
    publish(await hold(connect(url)))

asyncio.run(main())
""",
    "at the end of uvloop.run": """
import uvloop

async def main():
    publish(await hold(connect(url)))

uvloop.run(main())
""",
    "at the end of asyncio.run, while the client closes": """
async def main():
    client = await connect(url)
    publish(client)
    closing.append(asyncio.create_task(client.close()))
    await asyncio.sleep(0)

closing = []
asyncio.run(main())
""",
    "with an event loop that is only stopped": """
async def main():
    publish(await hold(connect(url)))

asyncio.new_event_loop().run_until_complete(main())
""",
    "with an event loop that runs in a daemon thread": """
async def main():
    publish(await hold(connect(url)))
    published.set()
    await asyncio.Event().wait()

published = threading.Event()
threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
published.wait()
""",
}

BEFORE_THE_IMPORT = """
import atexit
atexit.register(lambda: late())
"""
"""A hook of the program that runs behind that of the SDK, which is imported later."""

LATE_CLIENTS = {
    "a blocking client that is dropped": """
def late():
    publish(sync.connect(url))
""",
    "a blocking client that is held": """
def late():
    global client
    client = sync.connect(url)
    publish(client)
""",
    "a blocking client, while another was open": """
earlier = sync.connect(url)

def late():
    publish(sync.connect(url))
""",
    "a blocking client that is closed": """
def late():
    with sync.connect(url) as client:
        publish(client)
""",
    "an async client that is closed": """
def late():
    async def main():
        async with connect(url.replace("127.0.0.1", "localhost")) as client:
            publish(client)

    asyncio.run(main())
""",
    "an async client that is held at the end of asyncio.run": """
def late():
    async def main():
        publish(await hold(connect(url)))

    asyncio.run(main())
""",
    "an async client whose loop is only stopped": """
def late():
    async def main():
        publish(await hold(connect(url)))

    asyncio.new_event_loop().run_until_complete(main())
""",
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    """One gateway for all tests here; each uses a stream of its own."""
    with running_gateway_process() as running:
        yield running


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)


def assert_nothing_is_lost(gateway: GatewayProcess, stream: str, program: str, made_late: bool) -> None:
    """Run a program that publishes numbers and ends, and check that all arrive.

    Args:
        gateway: the gateway.
        stream: stream that the program publishes to.
        program: the program.
        made_late: it makes a blocking client when its main thread has ended: some Pythons start no thread then.
    """
    with sync.connect(gateway.url) as client, client.subscribe(stream) as messages:
        ended = run(program, gateway.url, stream)
        if made_late and not starts_threads_at_the_end():
            assert "UsageError: the program is ending" in ended.stderr
            return
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        received = [float(next(messages).tensor[0]) for _ in range(MESSAGES)]
    assert received == list(range(MESSAGES))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_that_ends_without_closing_loses_nothing(gateway: GatewayProcess, ending: str) -> None:
    stream = f"exit/{list(ENDINGS).index(ending)}"
    made_late = ending in ("with a client that a hook of atexit makes", "with a client that a thread makes at the end")
    assert_nothing_is_lost(gateway, stream, START + ENDINGS[ending], made_late)


@pytest.mark.parametrize("late", LATE_CLIENTS)
def test_a_client_that_is_made_behind_the_hook_loses_nothing(gateway: GatewayProcess, late: str) -> None:
    stream = f"late/{list(LATE_CLIENTS).index(late)}"
    assert_nothing_is_lost(gateway, stream, BEFORE_THE_IMPORT + START + LATE_CLIENTS[late], "blocking" in late)


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1])
def test_large_messages_under_way_are_sent_whole_when_asyncio_ends(gateway: GatewayProcess, after_s: float) -> None:
    program = """
import asyncio, sys
import numpy as np
from gateway.client import connect

async def main():
    global client
    client = await connect(sys.argv[1])
    for step in range(6):
        client.publish_nowait(sys.argv[2], np.full(2_000_000, step, "f4"), kind="event")
    await asyncio.sleep(float(sys.argv[3]))

asyncio.run(main())
"""
    stream = f"large/{after_s}"
    with sync.connect(gateway.url) as client, client.subscribe(stream) as messages:
        ended = run(program, gateway.url, stream, str(after_s))
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        assert [float(next(messages).tensor[-1]) for _ in range(6)] == list(range(6))


def test_a_gateway_that_comes_back_gets_what_waits_when_asyncio_ends() -> None:
    program = """
import asyncio, sys
from gateway.client import connect
from gateway.client.options import Backoff

async def main():
    global client
    client = await connect(sys.argv[1], close_timeout_s=60, backoff=Backoff(base_s=0.1, cap_s=0.1))
    print("connected", flush=True)
    while client.state == "connected":
        await asyncio.sleep(0)
    for step in range(7):
        client.publish_nowait("exit/x", step, kind="event")
    print("published", flush=True)

asyncio.run(main())
"""
    port = str(free_port())
    with running_gateway_process("--port", port) as gateway:
        script = subprocess.Popen([sys.executable, "-c", program, gateway.url], stdout=subprocess.PIPE, text=True)
        assert script.stdout is not None
        assert script.stdout.readline() == "connected\n"
    assert script.stdout.readline() == "published\n"
    with running_gateway_process("--port", port) as gateway:
        assert script.wait() == 0
        with sync.connect(gateway.url) as client, client.subscribe("exit/x", since="beginning") as messages:
            assert [int(next(messages).tensor) for _ in range(7)] == list(range(7))
    script.stdout.close()


def test_a_loop_that_is_closed_before_its_client_is_told_with_the_number_of_messages(gateway: GatewayProcess) -> None:
    program = """
import asyncio, sys
import numpy as np
from gateway.client import connect

async def main():
    client = await connect(sys.argv[1])
    for step in range(7):
        client.publish_nowait("exit/x", np.zeros(1_000_000), kind="event")

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""
    ended = run(program, gateway.url)
    assert ended.returncode == 0
    assert (
        "ConnectionFailed: 7 messages of publish_nowait were not sent: the event loop was closed before the client\n"
        in ended.stderr
    )


def test_a_gateway_that_does_not_answer_holds_a_script_up_for_its_time_only() -> None:
    program = """
import os, signal, sys
import numpy as np
from gateway.client import sync

client = sync.connect(sys.argv[1], close_timeout_s=0.3)
os.kill(int(sys.argv[2]), signal.SIGSTOP)
for step in range(40):
    client.publish_nowait("exit/x", np.frombuffer(os.urandom(1 << 20), "u1"), kind="event")
"""
    with running_gateway_process() as gateway:
        ended = run(program, gateway.url, str(gateway.process.pid))
        gateway.process.send_signal(signal.SIGCONT)
    assert ended.returncode == 0
    assert "messages of publish_nowait were not sent" in ended.stderr
    count = int(ended.stderr.split(" messages of publish_nowait")[0].split()[-1])
    assert 20 < count <= 40


def test_a_gateway_that_is_gone_is_told_with_the_number_of_messages() -> None:
    program = """
import os, signal, sys
import numpy as np
from gateway.client import sync
from gateway.client.options import Backoff

client = sync.connect(sys.argv[1], close_timeout_s=0.3, backoff=Backoff(base_s=60, cap_s=60))
os.kill(int(sys.argv[2]), signal.SIGKILL)
while client.state == "connected":
    pass
for step in range(7):
    client.publish_nowait("exit/x", step, kind="event")
"""
    with running_gateway_process() as gateway:
        ended = run(program, gateway.url, str(gateway.process.pid))
    assert ended.returncode == 0
    assert "7 messages of publish_nowait were not sent" in ended.stderr


def test_a_hook_that_runs_later_gets_one_clear_error() -> None:
    program = """
import atexit, sys

def late():
    try:
        client.publish_nowait("exit/x", 1)
    except Exception as error:
        print(type(error).__name__, error)

atexit.register(late)
from gateway.client import sync
client = sync.connect(sys.argv[1])
"""
    with running_gateway_process() as gateway:
        ended = run(program, gateway.url)
    assert ended.stdout == "ConnectionFailed the client is closed: connect again\n"
    assert ended.stderr == ""


class OpenedMeanwhile(OpenClient):
    """Client that another thread opens while this one is looked at."""

    exit_timeout_s = 0.0

    def __init__(self, clients: set[OpenClient]) -> None:
        self._clients = clients

    @property
    def stranded(self) -> bool:
        self._clients.add(OpenedMeanwhile(self._clients))
        return False

    def begin_exit(self) -> None:
        return None


def test_threads_may_open_clients_at_the_same_time() -> None:
    hook = ExitHook()
    for _ in range(3):
        hook.add(OpenedMeanwhile(hook._clients))
    assert len(hook._clients) > 3


class NotClosable(OpenClient):
    """A client whose loop runs already, for example, so that it cannot begin to close."""

    stranded = False
    exit_timeout_s = 1.0

    def begin_exit(self) -> None:
        raise RuntimeError("this event loop is already running")


class Closed(OpenClient):
    stranded = False
    exit_timeout_s = 1.0
    begun = False

    def begin_exit(self) -> None:
        self.begun = True


def test_a_client_that_cannot_be_closed_keeps_no_other_one_from_closing(caplog: pytest.LogCaptureFixture) -> None:
    hook, others = ExitHook(), [Closed() for _ in range(8)]
    for client in (*others[:4], NotClosable(), *others[4:]):
        hook.add(client)
    hook.run()
    assert all(other.begun for other in others)
    [record] = caplog.records
    assert "already running" in (record.exc_text or "")
