"""The wiring: a whole gateway in this process, on real ports."""

from __future__ import annotations

import socket
from dataclasses import replace

import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import connect
from gateway.config import Settings
from gateway.errors import ConnectionFailed

SETTINGS = Settings(port=0, admin_port=0, drain_deadline_s=2.0)


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
