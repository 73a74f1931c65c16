"""Cycles of references: what clients leave behind goes by reference counts, since ``frys serve`` collects little else.

The gateway runs in this process, with the collector off, and everything that is then left for the collector is looked
at.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from types import FrameType, FunctionType, GeneratorType

import httpx
import numpy as np
import pytest

from benchmarks.children import answer, child
from benchmarks.slow import hostile
from benchmarks.slow.attacks.target import Target
from gateway.app import Gateway
from gateway.config import Settings
from gateway.testing import running_gateway
from tests.admin.files import saved
from tests.collector import collector_off
from tests.integration.peer import until
from tests.integration.test_slow import LONG

OWNERS = ("gateway.", "websockets.", "ast.", "h11.", "uvicorn.")
"""Beginnings of the names of modules whose objects may not be left."""


@pytest.fixture
def uncollected() -> Iterator[None]:
    with collector_off():
        gc.set_debug(gc.DEBUG_SAVEALL)
        yield
        gc.set_debug(0)
        gc.garbage.clear()


def left_for_the_collector() -> Counter[str]:
    """Names of what the gateway has left, with the number of each: of objects their class, of code its function."""
    gc.collect()
    found = Counter(map(name_of, gc.garbage))
    gc.garbage.clear()
    return Counter({name: count for name, count in found.items() if name.startswith(OWNERS)})


def name_of(found: object) -> str:
    if isinstance(found, FrameType | GeneratorType):
        frame = found if isinstance(found, FrameType) else found.gi_frame
        return "" if frame is None else f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"
    if isinstance(found, FunctionType):
        return f"{found.__module__}.{found.__qualname__}"
    return f"{type(found).__module__}.{type(found).__qualname__}"


def is_alone(gateway: Gateway) -> bool:
    """Return whether all clients have left, and what they have caused is done."""
    return not len(gateway.core.pool) and gateway.core.drained and gateway.core.slices.idle


@pytest.mark.usefixtures("uncollected")
async def test_attacks_leave_no_cycles() -> None:
    async with running_gateway(Settings(drain_deadline_s=2.0)) as gateway:
        with child(hostile.attack_once, Target(gateway.port, gateway.admin_port or 0)) as attacker:
            for name in [name for name in hostile.ATTACKS if name not in LONG]:
                attacker.send(name)
                await asyncio.to_thread(answer, attacker)
        await until(lambda: is_alone(gateway))
        assert not left_for_the_collector()


@pytest.mark.usefixtures("uncollected")
async def test_uploads_leave_no_cycles() -> None:
    async with running_gateway(Settings(drain_deadline_s=2.0)) as gateway, httpx.AsyncClient() as client:
        for body in (saved(np.zeros(8)), saved(np.zeros(1_000_000)), b"\x93NUMPY\x01\x00\x06\x00{**{}}", b"no array"):
            await client.put(f"{gateway.admin_url}/api/v1/streams/wf%2Fa", content=body)
            await client.get(f"{gateway.admin_url}/api/v1/streams/wf%2Fa")
        assert not left_for_the_collector()


GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
UPGRADE = GET + b"sec-websocket-version: 13\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: "
HANDSHAKES = [
    GET + b"\r\n",
    UPGRADE + b"short\r\n\r\n",
    UPGRADE + b"AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: other\r\n\r\n",
]
REQUESTS = [
    b"no HTTP\r\n\r\n",
    GET + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    GET + b"transfer-encoding: chunked\r\n\r\nno size\r\n",
]


@pytest.mark.usefixtures("uncollected")
async def test_requests_that_are_refused_leave_no_cycles() -> None:
    async with running_gateway(Settings(drain_deadline_s=2.0)) as gateway:
        for port, requests in ((gateway.port, HANDSHAKES), (gateway.admin_port, REQUESTS)):
            for request in requests:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request)
                assert (await reader.read()).startswith(b"HTTP/1.1 4")
                writer.close()
        assert not left_for_the_collector()
