"""File descriptors: the reserve that is kept, and a gateway that runs out of them."""

from __future__ import annotations

import math
import resource
import select
import signal
import socket
import subprocess
import sys
import urllib.request
from urllib.parse import urlsplit

import numpy as np
import pytest

from gateway.client.sync import connect
from gateway.server.descriptors import LOG_INTERVAL_S, MAX_RESERVE, DescriptorReserve, descriptor_limit
from gateway.testing import running_gateway_process

LIMIT = 80
"""File descriptors of the gateway of these tests: some 25 are its own."""
BURST = 300


@pytest.mark.parametrize(("limit", "admitted"), [(80, 70), (1024, 896), (1_000_000, 1_000_000 - MAX_RESERVE)])
def test_the_highest_descriptors_are_kept_free(limit: int, admitted: int) -> None:
    reserve = DescriptorReserve(limit)
    assert reserve.admits(admitted - 1)
    assert not reserve.admits(admitted)
    assert reserve.refused == 1


def test_without_a_limit_every_socket_is_admitted() -> None:
    assert DescriptorReserve(math.inf).admits(2**31)


def test_it_is_logged_once_a_minute_at_most() -> None:
    reserve = DescriptorReserve(LIMIT)
    for _ in range(3):
        reserve.admits(LIMIT)
    assert "3 so far: the process may have 80; raise the limit" in str(reserve.report(100.0))
    assert reserve.report(100.0 + LOG_INTERVAL_S / 2) is None
    assert reserve.report(100.0 + LOG_INTERVAL_S) is not None


def test_the_limit_is_the_one_of_the_process() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert descriptor_limit() == (math.inf if soft == resource.RLIM_INFINITY else soft)


def test_serving_raises_the_limit_to_the_highest_allowed() -> None:
    program = (
        "import resource; from gateway.server.descriptors import raise_descriptor_limit\n"
        "raise_descriptor_limit(); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, preexec_fn=lower)
    assert int(done.stdout) == hard


def answer_of(opened: socket.socket) -> bytes:
    """Return what the gateway has said to a socket that says nothing."""
    opened.setblocking(False)
    try:
        return opened.recv(1000)
    except BlockingIOError:
        return b"open"


def metric(admin_url: str, name: str) -> float:
    with urllib.request.urlopen(f"{admin_url}/metrics") as response:
        text = response.read().decode()
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])


def test_sockets_beyond_the_limit_are_refused_counted_and_logged_once() -> None:
    with running_gateway_process(max_descriptors=LIMIT) as gateway:
        assert gateway.admin_url is not None
        address = urlsplit(gateway.url)
        # All at once: they wait together when the gateway looks.
        gateway.process.send_signal(signal.SIGSTOP)
        sockets = [socket.create_connection((address.hostname, address.port)) for _ in range(BURST)]
        gateway.process.send_signal(signal.SIGCONT)
        # Connections are accepted in their order: once the last one has its answer, all have.
        select.select([sockets[-1]], [], [])
        answers = [answer_of(opened) for opened in sockets]
        refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
        assert 0 < len(refused) < BURST
        assert len(refused) + answers.count(b"open") == BURST
        # The reserve: the admin port answers while no client is admitted.
        assert metric(gateway.admin_url, "frys_refused_sockets_total") == len(refused)
        for opened in sockets:
            opened.close()
        with connect(gateway.url) as client:
            assert client.publish("wf/loss", np.float32(0.5)).offset == 0
        gateway.process.terminate()
        _, log = gateway.process.communicate(timeout=20)
    assert log.count("file descriptors") == 1
