"""The demo's gateway says where it is, or that its port is taken, and ends with its lifeline."""

import asyncio
import socket

import numpy as np

from gateway.client import connect
from gateway.demo import gateway
from tests.demo.ends import lifeline


async def test_it_serves_until_let_go() -> None:
    with lifeline() as ends:
        serving = asyncio.create_task(asyncio.to_thread(gateway.run, ends.line, 0, None))
        place = (await asyncio.to_thread(ends.hear))["ready"]
        assert place["admin_url"] is None
        assert place["dashboard_url"] is None
        async with connect(place["url"]) as client:
            assert (await client.publish("wf/x", np.zeros(3))).offset == 0
        ends.let_go()
        await serving


def test_a_taken_port_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, lifeline() as ends:
        gateway.run(ends.line, taken.getsockname()[1], None)
        report = ends.hear()
    assert report["in_use"] == ["port"]
    assert report["failed"].startswith("cannot listen: ")
