"""The admin port: there from the start, served a little later, gone after the rest, and never in the way."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import httpx
import pytest

from gateway.admin.port import SERVING, AdminPort
from gateway.app import Gateway
from gateway.config import Settings
from gateway.testing import running_gateway
from tests.connections.memory import World
from tests.late_threads import starts_threads_at_the_end

AFTER_MAIN = """
import asyncio, threading
from gateway.config import Settings
from gateway.testing import running_gateway

async def main():
    async with running_gateway(Settings(admin_port=0)):
        print("runs")

def work():
    threading.main_thread().join()
    asyncio.run(main())

threading.Thread(target=work).start()
"""


async def test_it_can_be_reached_at_once() -> None:
    async with running_gateway(Settings(admin_port=0)) as gateway:
        assert gateway.admin_url == f"http://127.0.0.1:{gateway.admin_port}"
        assert gateway.admin_port not in (None, 0, gateway.port)
        async with httpx.AsyncClient(base_url=gateway.admin_url, timeout=30) as client:
            # Taken in by the system while the server is still being loaded.
            assert (await client.get("/readyz")).status_code == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gateway.admin_port or 0))


async def test_a_gateway_may_have_none() -> None:
    async with running_gateway(Settings(admin_port=None)) as gateway:
        assert (gateway.admin_port, gateway.admin_url) == (None, None)


async def test_stopping_while_it_is_loaded() -> None:
    admin = await AdminPort.bind("127.0.0.1", 0)
    admin.start(World().core)
    await admin.stop()
    again = await AdminPort.bind("127.0.0.1", admin.port)
    await again.stop()


async def test_stopping_what_was_not_started() -> None:
    admin = await AdminPort.bind("127.0.0.1", 0)
    await admin.stop()
    await admin.stop()


async def test_a_port_that_is_taken() -> None:
    admin = await AdminPort.bind("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await AdminPort.bind("127.0.0.1", admin.port)
    await admin.stop()


def test_a_gateway_of_a_thread_has_one_when_the_main_thread_has_ended() -> None:
    if not starts_threads_at_the_end():
        pytest.skip("this Python starts no thread then")
    ended = subprocess.run([sys.executable, "-c", AFTER_MAIN], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("runs\n", "")


async def test_a_gateway_whose_own_port_is_taken_gives_the_admin_port_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = Gateway(Settings(port=taken.getsockname()[1], admin_port=0))
        with pytest.raises(OSError, match="in use"):
            await gateway.start()
    assert gateway.admin_port is not None
    await (await AdminPort.bind("127.0.0.1", gateway.admin_port)).stop()


async def test_a_gateway_goes_on_without_what_serves_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, SERVING, None)
    async with running_gateway(Settings(admin_port=0)) as gateway:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.admin_port)
            assert await reader.read() == b""
            writer.close()
        except ConnectionError:
            pass
        assert not gateway.core.draining
    assert "failed and is closed; the gateway goes on without it" in caplog.text


def test_the_gateway_starts_without_what_serves_it() -> None:
    program = (
        "import sys, gateway.app\n"
        "heavy = {'starlette', 'uvicorn', 'prometheus_client', 'anyio', 'h11'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
