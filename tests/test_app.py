"""The wiring: a whole gateway in this process, on real ports."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from gateway.app import Gateway, boot_id
from gateway.client import connect
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import CannotListen, ConnectionFailed, StoreFailed
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.security.settings import SecuritySettings
from gateway.streams.stream import Stream
from gateway.testing import running_gateway
from tests.integration.peer import until

SETTINGS = Settings(port=0, admin_port=0, drain_deadline_s=2.0)
INSECURE = SecuritySettings(insecure=True)


async def test_it_serves_until_it_is_stopped() -> None:
    gateway = Gateway(SETTINGS)
    await gateway.start()
    url = gateway.url
    try:
        async with connect(url, client_id="trainer", backoff=None) as client:
            result = await client.publish("wf/loss", np.float32(0.5))
            assert result.offset == 0
        assert gateway.admin_url is not None
        assert gateway.admin_port != gateway.port
    finally:
        await gateway.stop()
    with pytest.raises(ConnectionFailed):
        await connect(url, backoff=None)


@pytest.mark.parametrize("host", ["::1", "::", "*", "", "0.0.0.0", "0", "localhost"])
async def test_urls_can_be_used_as_they_are(host: str) -> None:
    gateway = Gateway(replace(SETTINGS, host=host, security=INSECURE))
    try:
        await gateway.start()
    except OSError as error:
        await gateway.stop()
        if ":" not in host:
            raise
        pytest.skip(f"no IPv6 here: {error}")
    try:
        async with connect(gateway.url, backoff=None) as client:
            assert (await client.publish("wf/loss", np.float32(0.5))).offset == 0
        async with httpx.AsyncClient(base_url=gateway.admin_url or "") as http:
            assert (await http.get("/healthz")).status_code == 200
    finally:
        await gateway.stop()


async def test_addresses_that_have_another_port_are_not_named() -> None:
    gateway = Gateway(replace(SETTINGS, host="*", port=0, security=INSECURE))
    await gateway.start()
    try:
        for address in gateway.addresses:
            _, writer = await asyncio.open_connection(address, gateway.port)
            writer.close()
            await writer.wait_closed()
    finally:
        await gateway.stop()


async def test_a_gateway_with_which_no_client_can_work_is_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    core = CoreSettings(limits=Limits(max_frame_bytes=100))
    async with running_gateway(replace(SETTINGS, core=core)) as gateway:
        async with httpx.AsyncClient(base_url=gateway.admin_url or "") as http:
            answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["reason"].startswith("limits.max_frame_bytes is 100: it takes ")
    assert "limits.max_frame_bytes is 100" in caplog.text


async def used_and_stopped(drain_deadline_s: float, admin_port: int | None, held: threading.Event | None) -> None:
    """Stop a gateway whose threads have worked, while clients are connected."""
    settings = replace(SETTINGS, drain_deadline_s=drain_deadline_s, admin_port=admin_port)
    async with running_gateway(settings) as gateway, connect(gateway.url) as client, client.subscribe("wf/a") as states:
        await client.publish("wf/a", np.zeros(100_000), kind="state")
        await anext(states)
        gateway._workers.submit(int, lambda result: None)
        await until(lambda: not gateway._workers.busy)
        assert gateway._workers._threads
        if held is not None:
            gateway._workers.submit(held.wait, lambda result: None)
        await gateway.stop()


@pytest.mark.parametrize("admin_port", [None, 0])
@pytest.mark.parametrize("drain_deadline_s", [0.0, 0.1, 1.0])
async def test_a_short_deadline_is_no_reason_to_say_that_a_thread_works_or_a_message_waits(
    drain_deadline_s: float, admin_port: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    await used_and_stopped(drain_deadline_s, admin_port, None)
    assert not [each for each in caplog.records if each.name in {"gateway.app", "gateway.server.listener"}]


async def test_a_thread_that_works_at_the_deadline_is_told(caplog: pytest.LogCaptureFixture) -> None:
    held = threading.Event()
    try:
        await used_and_stopped(0.1, None, held)
    finally:
        held.set()
    assert "a thread still encodes" in caplog.text


async def test_without_an_admin_port() -> None:
    gateway = Gateway(replace(SETTINGS, admin_port=None))
    await gateway.start()
    assert gateway.admin_url is None
    await gateway.stop()


async def test_a_port_in_use_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = Gateway(replace(SETTINGS, port=taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            await gateway.start()
        admin_port = gateway.admin_port
        await gateway.stop()
    assert admin_port is not None
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", admin_port)).close()


async def test_both_ports_are_named_if_both_are_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        port, admin_port = first.getsockname()[1], second.getsockname()[1]
        gateway = Gateway(replace(SETTINGS, port=port, admin_port=admin_port))
        with pytest.raises(CannotListen) as failed:
            await gateway.start()
        await gateway.stop()
    reason = os.strerror(errno.EADDRINUSE)
    assert str(failed.value) == f"cannot listen: port {port} and admin port {admin_port} on 127.0.0.1: {reason}"
    assert set(failed.value.in_use) == {"port", "admin_port"}


@pytest.mark.parametrize("admin_port", [None, 0])
@pytest.mark.parametrize(
    ("host", "words"),
    [("192.0.2.1", os.strerror(errno.EADDRNOTAVAIL)), ("a..b", "label empty or too long")],
)
async def test_an_address_that_cannot_be_bound_is_told_in_the_same_words(
    host: str, words: str, admin_port: int | None
) -> None:
    gateway = Gateway(replace(SETTINGS, host=host, admin_port=admin_port, security=INSECURE))
    ports = "port 0" if admin_port is None else "port 0 and admin port 0"
    with pytest.raises(CannotListen, match=rf"^cannot listen: {ports} on {re.escape(host)}: .*{words}") as failed:
        await gateway.start()
    assert failed.value.in_use == ()
    await gateway.stop()


async def test_durable_streams_are_there_again(tmp_path: Path) -> None:
    settings = replace(SETTINGS, admin_port=None, store=f"sqlite:{tmp_path}/streams.db")
    name = StreamName("wf/loss")
    opened: list[Stream] = []
    for _ in range(2):
        gateway = Gateway(settings)
        await gateway.start()
        stream, _ = gateway.core.hub.open(name, Kind.STATE, Durability.FSYNC)
        opened.append(stream)
        async with connect(gateway.url, backoff=None) as client:
            await client.publish(name, np.float32(0.5))
        await gateway.stop()
    first, second = opened
    assert (first.epoch, first.next_offset, second.next_offset) == (second.epoch, 1, 2)


async def test_a_store_in_use_is_told(tmp_path: Path) -> None:
    settings = replace(SETTINGS, admin_port=None, store=f"sqlite:{tmp_path}/streams.db")
    gateway = Gateway(settings)
    with pytest.raises(StoreFailed, match="in use"):
        Gateway(settings)
    await gateway.stop()


def test_a_boot_id_is_that_of_this_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = tmp_path / "boot_id"
    known.write_text("f0\n")
    monkeypatch.setattr("gateway.app.BOOT_ID", known)
    assert boot_id() == "f0"
    known.unlink()
    assert boot_id() != boot_id()
