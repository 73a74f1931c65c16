"""A store that fails: publishes are refused at once, nothing that was acknowledged is lost, and the gateway goes on."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from gateway.app import Gateway
from gateway.cli.exit_code import ExitCode
from gateway.client import Client, connect
from gateway.client.sending import outbound_message
from gateway.config import Settings
from gateway.errors import Code, RequestRefused
from gateway.streams.sqlite.store import SqliteStreamStore
from gateway.testing import GatewayProcess, running_gateway, running_gateway_process

SIZE = 8_000
"""Of int64: more than what is left on a full disk."""

NOISE = np.random.default_rng(7).integers(2**62, size=SIZE)
"""Array that no codec makes smaller."""


@pytest.fixture(autouse=True)
def _refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first refusal is raised: the client does not send again until its time limit passes."""
    monkeypatch.setattr(outbound_message, "AGAIN_AFTER", frozenset())


def limit_pages(gateway: Gateway, pages: int) -> None:
    """The file may not grow past so many pages; SQLite says of the next one what it says of a full disk."""
    store = gateway._store
    assert isinstance(store, SqliteStreamStore)
    connection: sqlite3.Connection = store._database._connection
    connection.execute(f"PRAGMA max_page_count={pages}")


async def test_a_full_disk_loses_nothing_and_stops_nobody_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(admin_port=None, store=f"sqlite:{tmp_path}/streams.db")
    acknowledged: list[int] = []
    async with running_gateway(settings) as gateway, connect(gateway.url, backoff=None) as client:

        async def publish(value: int) -> None:
            result = await client.publish("wf/log", np.full(SIZE, value), kind="event", durability="fsync")
            assert result.offset == len(acknowledged)
            acknowledged.append(value)

        for value in range(3):
            await publish(value)
        limit_pages(gateway, 1)
        for value in range(100, 103):
            with pytest.raises(RequestRefused, match=r"not stored, try again later: .*full") as refused:
                await publish(value)
            assert refused.value.code == Code.QUEUE_FULL
        # Streams in memory do not notice; and what is larger than a chunk is refused as well.
        await client.publish("wf/memory", np.zeros(SIZE))
        large = np.random.default_rng(7).random(100 * SIZE)
        with pytest.raises(RequestRefused, match="not stored, try again later: chunks of message 3 of wf/log"):
            await client.publish("wf/log", large)
        limit_pages(gateway, 1_000_000)
        for value in range(3, 6):
            await publish(value)
        assert gateway.core.gate.store_health.refused_messages == 4
        while gateway.core.gate.store_health.failing:
            await publish(len(acknowledged))
    assert caplog.text.count("make room on its disk") == 1
    assert caplog.text.count("4 messages were refused meanwhile") == 1
    async with running_gateway(settings) as gateway, connect(gateway.url, backoff=None) as client:
        messages = client.subscribe("wf/log", since="beginning")
        found = [await anext(messages) for _ in acknowledged]
        assert [int(message.tensor[0]) for message in found] == acknowledged == list(range(len(acknowledged)))
        assert [message.offset for message in found] == list(range(len(acknowledged)))


# Real processes, and failures of the operating system.


def admin_of(gateway: GatewayProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60, verify=False)


async def ready(gateway: GatewayProcess) -> tuple[int, str]:
    """Status and reason of /readyz; /healthz has nothing to do with the store."""
    async with admin_of(gateway) as http:
        assert (await http.get("/healthz")).status_code == 200
        response = await http.get("/readyz")
        return response.status_code, response.json().get("reason", "")


async def until_ready_is(gateway: GatewayProcess, status: int) -> str:
    """Reason of /readyz once it has this status."""
    while True:
        found, reason = await ready(gateway)
        if found == status:
            return reason


async def metric(gateway: GatewayProcess, name: str) -> float:
    async with admin_of(gateway) as http:
        lines = (await http.get("/metrics")).text.splitlines()
    [value] = [line.split()[1] for line in lines if line.split()[0] == name]
    return float(value)


async def refused(client: Client, stream: str = "wf/log", timeout_s: float = 60) -> str:
    """Why a publish is refused; never that no answer came."""
    with pytest.raises(RequestRefused) as caught:
        await client.publish(stream, NOISE, kind="event", durability="fsync", timeout_s=timeout_s)
    assert caught.value.code == Code.QUEUE_FULL
    return str(caught.value)


def stop(gateway: GatewayProcess) -> tuple[int, list[str]]:
    """Exit code of a gateway that is stopped, and its log."""
    gateway.process.send_signal(signal.SIGTERM)
    _, log = gateway.process.communicate(timeout=60)
    return gateway.process.returncode, log.splitlines()


def lines_with(log: list[str], word: str) -> list[str]:
    return [line for line in log if word in line]


async def test_a_page_that_goes_bad_is_an_answer_a_status_and_a_line(tmp_path: Path) -> None:
    """Trimming finds it, not a publish."""
    path, config = tmp_path / "streams.db", tmp_path / "frys.toml"
    config.write_text('[[streams]]\npattern = "wf/**"\nhistory = { max_messages = 100 }\n')
    arguments = ("--store", f"sqlite:{path}", "--config", str(config))
    with running_gateway_process(*arguments) as gateway:
        async with connect(gateway.url) as client:
            for number in range(100):
                await client.publish("wf/log", NOISE + number, kind="event", durability="fsync")
    size = path.stat().st_size
    with running_gateway_process(*arguments) as gateway:
        async with connect(gateway.url) as client:
            await client.publish("wf/memory", np.zeros(3))
            with path.open("r+b") as file:
                file.seek(8 * 4096)
                file.write(os.urandom(size - 8 * 4096))
            for _ in range(300):
                client.publish_nowait("wf/log", np.zeros(3), kind="event")
            reason = await until_ready_is(gateway, 503)
            assert "malformed" in reason
            assert "restore a copy" in reason
            for _ in range(3):
                assert "malformed" in await refused(client)
            assert (await client.publish("wf/memory", np.zeros(3))).offset == 1
            # A reader of the past is told of a gap, and gets what is in memory; it is not left waiting.
            async with client.subscribe("wf/log", since="beginning") as messages:
                assert (await anext(messages)).offset >= 100
            assert await metric(gateway, "frys_store_failing") == 1
            assert await metric(gateway, "frys_store_failures_total") >= 1
            assert await metric(gateway, "frys_store_refused_messages_total") >= 3
        code, log = stop(gateway)
        assert code == ExitCode.INCOMPLETE
        assert "restore a copy" in log[-1]
        assert len(lines_with(log, "until the gateway is started again")) == 1
        assert not lines_with(log, "Traceback")


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_file_that_is_removed_is_noticed_without_a_publish(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "streams.db"
    with running_gateway_process("--store", f"sqlite:{path}") as gateway:
        async with connect(gateway.url) as client:
            await client.publish("wf/log", NOISE, kind="event", durability="fsync")
            path.with_name(path.name + suffix).unlink()
            assert f"streams.db{suffix} was removed or moved" in await until_ready_is(gateway, 503)
            assert "was removed or moved" in await refused(client)
            await client.publish("wf/memory", np.zeros(3))
        _, log = stop(gateway)
        assert len(lines_with(log, "ERROR gateway.streams")) == 1
    if suffix:
        # Everything that was acknowledged is in the file.
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM messages").fetchone() == (1,)


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_nothing_is_acknowledged_once_the_file_is_truncated(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "streams.db"
    with running_gateway_process("--store", f"sqlite:{path}") as gateway:
        async with connect(gateway.url) as client:
            for number in range(3):
                await client.publish("wf/log", NOISE + number, kind="event", durability="fsync")
            os.truncate(path.with_name(path.name + suffix), 0)
            for _ in range(3):
                assert f"truncated to 0 bytes while the gateway runs{' (disk' if suffix else ':'}" in await refused(
                    client
                )
            assert "restore a copy" in (await ready(gateway))[1]
        code, log = stop(gateway)
        assert code == ExitCode.INCOMPLETE
        assert "truncated to 0 bytes" in log[-1]
        assert not lines_with(log, "Traceback")


async def test_a_file_that_was_moved_is_complete_after_the_stop(tmp_path: Path) -> None:
    path, away = tmp_path / "streams.db", tmp_path / "away.db"
    with running_gateway_process("--store", f"sqlite:{path}") as gateway:
        async with connect(gateway.url) as client:
            await client.publish("wf/log", NOISE, kind="event", durability="fsync")
        path.rename(away)
        path.touch()
        code, log = stop(gateway)
        assert code == ExitCode.INCOMPLETE
        assert log[-1].endswith(f"; what was {path}, if it still exists, is complete without {path}-wal")
    # The log that is left is empty: it does no harm to the file that has taken the place.
    with running_gateway_process("--store", f"sqlite:{path}"):
        pass
    with running_gateway_process("--store", f"sqlite:{away}") as gateway:
        async with connect(gateway.url) as client:
            assert (await client.publish("wf/log", NOISE)).offset == 1


async def test_a_log_without_its_file_is_not_thrown_away(tmp_path: Path) -> None:
    """SQLite would begin a new file, and delete the log with the messages."""
    path, away = tmp_path / "streams.db", tmp_path / "away.db"
    with running_gateway_process("--store", f"sqlite:{path}") as gateway:
        async with connect(gateway.url) as client:
            await client.publish("wf/log", NOISE, kind="event", durability="fsync")
        gateway.process.kill()
    path.rename(away)
    for _ in range(2):
        assert f"{path}-wal has messages of a file that was moved, removed or truncated" in refused_start(path)
    away.rename(path)
    with running_gateway_process("--store", f"sqlite:{path}") as gateway:
        async with connect(gateway.url) as client:
            assert (await client.publish("wf/log", NOISE)).offset == 1


async def test_nothing_is_acknowledged_once_the_file_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "streams.db"
    with running_gateway_process("--store", f"sqlite:{path}") as gateway:
        async with connect(gateway.url) as client:
            await client.publish("wf/log", np.zeros(3), kind="event", durability="fsync")
            path.rename(tmp_path / "away.db")
            path.touch()
            assert "was replaced" in await refused(client)
            path.unlink()
            (tmp_path / "away.db").rename(path)
            await until_ready_is(gateway, 200)
            assert (await client.publish("wf/log", np.zeros(3))).offset == 1
        code, log = stop(gateway)
        assert code == 0
        assert len(lines_with(log, "works again after")) == 1


@pytest.mark.parametrize("second", ["link.db", "folder/streams.db", "hard.db"])
async def test_a_second_gateway_is_refused_by_whatever_name(tmp_path: Path, second: str) -> None:
    path = tmp_path / "streams.db"
    (tmp_path / "link.db").symlink_to("streams.db")
    (tmp_path / "folder").symlink_to(".")
    with running_gateway_process("--store", f"sqlite:{path}") as gateway:
        (tmp_path / "hard.db").hardlink_to(path)
        command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--no-admin"]
        process = await asyncio.create_subprocess_exec(
            *command, "--store", f"sqlite:{tmp_path / second}", stderr=subprocess.PIPE
        )
        _, told = await process.communicate()
        assert process.returncode == 1
        assert f"in use by another gateway (process {gateway.process.pid})" in told.decode()
        async with connect(gateway.url) as client:
            await client.publish("wf/log", np.zeros(3), kind="event", durability="fsync")


# A disk that is full.

Free = Callable[[], None]
Fill = Callable[[GatewayProcess], Free]


def limit_files(gateway: GatewayProcess) -> Free:
    """No file of the process may grow: its writes fail as at a quota."""
    pid = gateway.process.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def free() -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    return free


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=4m", "tests", str(folder)]
    if sys.platform != "linux" or subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def refused_start(path: Path) -> str:
    """The one line of a gateway that does not start."""
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--no-admin", "--store", f"sqlite:{path}"]
    process = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert process.returncode == 1
    [line] = process.stderr.splitlines()
    return line


def test_a_disk_that_is_full_at_the_start(small_disk: Path) -> None:
    filler = fill(small_disk)
    path = small_disk / "streams.db"
    assert "make room on its disk" in refused_start(path)
    filler.unlink()
    with running_gateway_process("--store", f"sqlite:{path}"):
        pass
    fill(small_disk)
    assert "make room on its disk" in refused_start(path)


def test_a_disk_that_cannot_be_written_at_the_start(small_disk: Path) -> None:
    with running_gateway_process("--store", f"sqlite:{small_disk}/streams.db"):
        pass
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "Read-only file system" in refused_start(small_disk / "streams.db")


async def refused_until_freed(
    gateway: GatewayProcess, free: Free, words: str, publish: Callable[[], Awaitable[object]]
) -> None:
    async with connect(gateway.url) as client:
        for _ in range(20):
            assert words in await refused(client)
        assert words in (await ready(gateway))[1]
        assert await metric(gateway, "frys_store_refused_messages_total") >= 20
        free()
        await until_ready_is(gateway, 200)
        await publish()
    code, log = stop(gateway)
    assert code == 0
    assert len(lines_with(log, "ERROR gateway.streams")) == 1
    assert len(lines_with(log, "messages were refused meanwhile")) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is a call of Linux")
async def test_writes_that_fail_are_one_line_until_they_succeed(tmp_path: Path) -> None:
    with running_gateway_process("--store", f"sqlite:{tmp_path}/streams.db") as gateway:
        async with connect(gateway.url) as client:

            async def publish() -> object:
                return await client.publish("wf/log", NOISE, kind="event", durability="fsync")

            await publish()
            await refused_until_freed(gateway, limit_files(gateway), "check the disk", publish)


async def test_a_disk_that_is_really_full_is_one_line_until_there_is_room(small_disk: Path) -> None:
    with running_gateway_process("--store", f"sqlite:{small_disk}/streams.db") as gateway:
        async with connect(gateway.url) as client:

            async def publish() -> object:
                return await client.publish("wf/log", NOISE, kind="event", durability="fsync")

            await publish()
            filler = fill(small_disk)
            await refused_until_freed(gateway, filler.unlink, "make room on its disk", publish)


async def test_a_disk_that_the_log_fills_is_freed_by_the_gateway_itself(small_disk: Path, tmp_path: Path) -> None:
    path, config = small_disk / "streams.db", tmp_path / "frys.toml"
    config.write_text('[[streams]]\npattern = "wf/**"\nhistory = { max_messages = 4 }\n')
    arguments = ("--store", f"sqlite:{path}", "--config", str(config))
    for stopped in (True, False):
        with running_gateway_process(*arguments) as gateway:
            async with connect(gateway.url) as client:
                for number in range(16):
                    await client.publish("wf/log", NOISE + number, kind="event", durability="os")
                if stopped:  # and the file has its size
                    continue
                with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                    reader.execute("BEGIN")
                    reader.execute("SELECT count(*) FROM messages").fetchone()
                    # The log cannot be copied meanwhile, and grows.
                    with suppress(RequestRefused):
                        while True:
                            await client.publish("wf/log", NOISE, timeout_s=60)
                    assert "make room on its disk" in (await ready(gateway))[1]
                await until_ready_is(gateway, 200)
                await client.publish("wf/log", NOISE)
            assert stop(gateway)[0] == ExitCode.OK
