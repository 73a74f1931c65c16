"""Stopping of ``frys serve``, as a process: signals, the deadline, and the line and exit code at the end."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.stopping import Stopping
from gateway.client.sync import connect
from gateway.testing import GatewayProcess, running_gateway_process

TIMEOUT_S = 60

SUBSCRIBER = """
import sys
from gateway.client.sync import connect
with connect(sys.argv[1]) as client, client.subscribe("wf/**") as messages:
    print("subscribed", flush=True)
    for message in messages:
        pass
"""


def connect_to(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port))


def end_of(process: subprocess.Popen[str]) -> list[str]:
    """The log of a process that ends."""
    return process.communicate(timeout=TIMEOUT_S)[1].splitlines()


def stopping_has_begun(gateway: GatewayProcess) -> None:
    assert gateway.process.stderr is not None
    # Plans may have told that they pace a client which does not read.
    assert any("stops at once" in line for line in gateway.process.stderr)


def test_a_terminal_that_is_closed_drains(tmp_path: Path) -> None:
    with running_gateway_process("--drain-deadline", "60", "--store", f"sqlite:{tmp_path}/streams.db") as gateway:
        with connect(gateway.url) as client:
            client.publish("wf/log", np.zeros(3), kind="event", durability="fsync")
        gateway.process.send_signal(signal.SIGHUP)
        (line,) = end_of(gateway.process)
        rule = "the next SIGTERM or Ctrl-C changes nothing, and the one after it stops at once"
        assert line.endswith(f"stopping within 60 s (SIGHUP); {rule}")
        assert gateway.process.returncode == ExitCode.OK
    # The file is whole without its log.
    assert sorted(file.name for file in tmp_path.iterdir()) == ["streams.db", "streams.db-lock"]


def test_a_further_hangup_is_no_second_signal() -> None:
    with running_gateway_process("--drain-deadline", "60", "--no-admin") as gateway, connect_to(gateway.url):
        gateway.process.send_signal(signal.SIGTERM)
        stopping_has_begun(gateway)
        # Half a handshake does not hold up the stop; whether it has ended before this signal does not matter.
        gateway.process.send_signal(signal.SIGHUP)
        end_of(gateway.process)
        assert gateway.process.returncode == ExitCode.OK


def drained_by_admin(gateway: GatewayProcess) -> None:
    assert httpx.post(f"{gateway.admin_url}/api/v1/drain", json={}).status_code == HTTPStatus.ACCEPTED


def hung_up(gateway: GatewayProcess) -> None:
    gateway.process.send_signal(signal.SIGHUP)


@pytest.mark.parametrize("begin", [drained_by_admin, hung_up])
def test_the_first_signal_that_ends_is_none_that_cuts_off(begin: Callable[[GatewayProcess], None]) -> None:
    """A hook drains on the admin port, and the orchestrator sends SIGTERM behind it."""
    with running_gateway_process("--drain-deadline", "60") as gateway:
        with connect(gateway.url) as client, stopped_subscriber(gateway.url):
            client.publish("wf/large", np.random.default_rng(7).random(4_000_000))
            begin(gateway)
            stopping_has_begun(gateway)
            gateway.process.send_signal(signal.SIGTERM)
        assert end_of(gateway.process) == []
        assert gateway.process.returncode == ExitCode.OK


def test_a_hangup_that_was_ignored_before_stays_ignored() -> None:
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--no-admin"]
    with subprocess.Popen(
        ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2]
        process.send_signal(signal.SIGHUP)
        with connect(url) as client:
            client.publish("wf/log", np.zeros(3))
        process.terminate()
        end_of(process)
        assert process.returncode == ExitCode.OK


@contextmanager
def stopped_subscriber(url: str) -> Iterator[None]:
    """A client whose process is suspended: its sockets stay open, and take what fits into their buffers."""
    with subprocess.Popen([sys.executable, "-c", SUBSCRIBER, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "subscribed\n"
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.kill()


@contextmanager
def half_open(admin_url: str) -> Iterator[None]:
    """Connections to the admin port: half a request, an upload that does not go on, an answer that is not read."""
    with connect_to(admin_url) as request, connect_to(admin_url) as upload, connect_to(admin_url) as download:
        request.sendall(b"GET / HTTP/1.1\r\n")
        upload.sendall(b"PUT /api/v1/streams/wf/up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n\x93NUMPY")
        download.sendall(b"GET /api/v1/streams/wf/large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert download.recv(12) == b"HTTP/1.1 200"
        yield


def test_it_stops_within_the_deadline_whatever_clients_do(tmp_path: Path) -> None:
    deadline_s = 8.0
    store = ("--store", f"sqlite:{tmp_path}/streams.db")
    with running_gateway_process("--drain-deadline", f"{deadline_s}", *store) as gateway:
        assert gateway.admin_url is not None
        with connect(gateway.url) as client, stopped_subscriber(gateway.url):
            large = np.random.default_rng(7).random(4_000_000)
            client.publish("wf/large", large, durability="fsync")
            with half_open(gateway.admin_url):
                begun_s = time.monotonic()
                gateway.process.send_signal(signal.SIGTERM)
                log = end_of(gateway.process)
                taken_s = time.monotonic() - begun_s
        assert gateway.process.returncode == ExitCode.OK, log
        # The margin is for the machine of the test: twice the deadline is what it took when each step had one.
        assert taken_s < 1.7 * deadline_s, log
        assert any("the drain deadline of 8 s is near" in line for line in log)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["streams.db", "streams.db-lock"]


def test_a_second_signal_says_what_it_leaves(tmp_path: Path) -> None:
    path = tmp_path / "streams.db"
    with running_gateway_process("--drain-deadline", "60", "--store", f"sqlite:{path}") as gateway:
        with connect(gateway.url) as client, stopped_subscriber(gateway.url):
            client.publish("wf/large", np.random.default_rng(7).random(4_000_000), durability="fsync")
            gateway.process.send_signal(signal.SIGTERM)
            stopping_has_begun(gateway)
            gateway.process.send_signal(signal.SIGTERM)
            [line] = end_of(gateway.process)
        assert gateway.process.returncode == ExitCode.INTERRUPTED
        assert line.startswith("frys serve: stopped at once by a second signal (SIGTERM)")
        assert line.endswith(
            f"; {path} and {path}-wal belong together: copy or move both; no acknowledged message is lost"
        )


def test_a_disk_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    """Another program holds the file, for which SQLite waits longer than this gateway may take."""
    path = tmp_path / "streams.db"
    with running_gateway_process("--drain-deadline", "1", "--store", f"sqlite:{path}") as gateway:
        with connect(gateway.url) as client:
            client.publish("wf/log", np.zeros(3), kind="event", durability="fsync")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            gateway.process.send_signal(signal.SIGTERM)
            log = end_of(gateway.process)
        assert gateway.process.returncode == ExitCode.INCOMPLETE
        assert log[-1].startswith(f"frys serve: store {path} was not closed within 1 s")
        assert "another program holds it" in log[-1]
        assert "not acknowledged" not in log[-1]  # nothing waited
        assert log[-1].endswith(f"{path} and {path}-wal belong together: copy or move both")
    with running_gateway_process("--store", f"sqlite:{path}") as gateway, connect(gateway.url) as client:
        assert client.publish("wf/log", np.zeros(3)).offset == 1


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is a call of Linux")
def test_what_the_store_could_not_do_is_one_line_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The measurement of coverage could not write its own file either, and would say so behind the line.
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)
    path = tmp_path / "streams.db"
    link = tmp_path / "current.db"
    link.symlink_to(path.name)
    with running_gateway_process("--store", f"sqlite:{link}") as gateway:
        with connect(gateway.url) as client:
            client.publish("wf/log", np.zeros(3), kind="event", durability="fsync")
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        gateway.process.send_signal(signal.SIGTERM)
        stopping_has_begun(gateway)
        assert end_of(gateway.process) == [
            f"frys serve: store {path} was not closed in good order: the note of the close cannot be written: disk I/O "
            f"error: check the disk, and its free space and quota; {path} and {path}-wal belong together: copy or move "
            "both"
        ]
        assert gateway.process.returncode == ExitCode.INCOMPLETE
    with running_gateway_process("--store", f"sqlite:{path}") as gateway, connect(gateway.url) as client:
        assert client.publish("wf/log", np.zeros(3)).offset == 1


# The end of the process, when something does not come to an end.


@pytest.mark.parametrize(
    ("outcome", "code", "line"),
    [
        (ExitCode.OK, ExitCode.OK, ""),
        (None, ExitCode.INCOMPLETE, "stopping took longer than 0 s and was cut off: messages that were queued"),
    ],
)
async def test_the_process_ends_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: ExitCode | None,
    code: ExitCode,
    line: str,
) -> None:
    ended: list[int] = []

    def end(code: int) -> None:
        ended.append(code)
        raise SystemExit

    monkeypatch.setattr("gateway.cli.stopping.MIN_STORING_S", 0.0)
    monkeypatch.setattr("gateway.cli.stopping.GRACE_S", 0.0)
    monkeypatch.setattr(os, "_exit", end)
    stopping = Stopping(0.0, None)
    stopping.outcome = outcome
    with pytest.raises(SystemExit):
        stopping._watch()
    assert ended == [code]
    assert line in capsys.readouterr().err


def test_readiness_tells_of_the_stop_as_long_as_it_lasts() -> None:
    with running_gateway_process("--drain-deadline", "60") as gateway:
        assert gateway.admin_url is not None
        with connect(gateway.url) as client, stopped_subscriber(gateway.url):
            client.publish("wf/large", np.random.default_rng(7).random(4_000_000))
            gateway.process.send_signal(signal.SIGTERM)
            stopping_has_begun(gateway)
            assert httpx.get(f"{gateway.admin_url}/readyz", timeout=TIMEOUT_S).json()["status"] == "draining"
            gateway.process.send_signal(signal.SIGINT)
            end_of(gateway.process)
