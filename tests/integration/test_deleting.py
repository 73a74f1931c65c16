"""Streams are deleted while they are in use: nobody is told a falsehood, and everybody goes on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from gateway.client import Backoff, Client, Message, RequestRefused, StreamEnded, connect, sync
from gateway.errors import Code
from gateway.protocol.views import View
from gateway.testing import running_gateway, running_gateway_process
from tests.integration.proxy import cutting_proxy


def arguments(path: Path | None) -> tuple[str, ...]:
    return () if path is None else ("--store", f"sqlite:{path / 'streams.db'}")


@pytest.fixture(params=["memory", "os", "fsync"])
def durability(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.asynccontextmanager
async def reading(client: Client, pattern: str, seen: list[Message], **options: object) -> AsyncIterator[None]:
    """Collect the messages of a subscription meanwhile."""

    async def read() -> None:
        async for message in subscription:
            seen.append(message)

    async with client.subscribe(pattern, **options) as subscription:  # type: ignore[arg-type]
        task = asyncio.create_task(read())
        try:
            yield
        finally:
            task.cancel()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.005)


async def test_a_stream_is_deleted_again_and_again_under_load(tmp_path: Path, durability: str) -> None:
    with running_gateway_process(*arguments(tmp_path)) as gateway:
        async with (
            connect(gateway.url, client_id="publisher") as publisher,
            connect(gateway.url, client_id="reader") as reader,
            connect(gateway.url, client_id="deleter") as deleter,
        ):
            seen: list[Message] = []
            viewed: list[Message] = []
            ended: list[StreamEnded] = []
            acknowledged: list[tuple[int, int, int]] = []
            stop = False

            async def publish(lane: int) -> None:
                number = 0
                while not stop:
                    value = np.array([lane, number])
                    result = await publisher.publish("wf/events", value, kind="event", durability=durability)
                    acknowledged.append((result.epoch, result.offset, lane * 1_000_000 + number))
                    number += 1

            async with (
                reading(reader, "wf/*", seen, on_ended=ended.append),
                reading(reader, "wf/events", viewed, view=View(np.s_[:1])),
            ):
                lanes = [asyncio.create_task(publish(lane)) for lane in range(8)]
                deletions = 0
                last = 0
                while deletions <= 5:
                    await asyncio.sleep(0.02)
                    with contextlib.suppress(RequestRefused):
                        assert await deleter.delete("wf/events") == ["wf/events"]
                        deletions += 1
                        last = len(acknowledged)
                await until(lambda: len(acknowledged) > last + 20)
                stop = True
                await asyncio.gather(*lanes)
                newest = max(acknowledged)
                await until(lambda: seen and (seen[-1].epoch, seen[-1].offset) >= newest[:2])
                await until(lambda: viewed and (viewed[-1].epoch, viewed[-1].offset) >= newest[:2])
            assert deletions > 5
            assert len(ended) == deletions
            assert {each.reason for each in ended} == {"deleted"}
            # No two messages have one position, every lane keeps its order, and of the last incarnation all is there.
            assert len({each[:2] for each in acknowledged}) == len(acknowledged)
            for lane in range(8):
                mine = sorted(each for each in acknowledged if each[2] // 1_000_000 == lane)
                assert [each[2] for each in mine] == sorted(each[2] for each in mine)
                assert [each[2] % 1_000_000 for each in mine] == list(range(len(mine)))
            epoch = newest[0]
            arrived = {message.offset for message in seen if message.epoch == epoch}
            assert {offset for of, offset, _ in acknowledged if of == epoch} <= arrived
            assert arrived == set(range(newest[1] + 1))


async def test_a_worker_gives_up_what_it_has_and_goes_on_with_the_next_stream(tmp_path: Path, durability: str) -> None:
    with running_gateway_process(*arguments(tmp_path)) as gateway:
        async with (
            connect(gateway.url, client_id="publisher") as publisher,
            connect(gateway.url, client_id="worker") as worker,
            connect(gateway.url, client_id="watcher") as watcher,
        ):
            ended: list[StreamEnded] = []
            observed: list[Message] = []
            async with (
                reading(watcher, "wf/**", observed, observe=True),
                worker.subscribe("wf/tasks", auto_ack=False, on_ended=ended.append) as tasks,
            ):
                for number in range(3):
                    await publisher.publish("wf/tasks", number, kind="collaboration", durability=durability)
                first = await anext(tasks)
                assert await publisher.delete("wf/*") == ["wf/tasks"]
                await until(lambda: ended)
                await first.ack()  # late, and of no consequence
                for number in range(3, 6):
                    await publisher.publish("wf/tasks", number, kind="collaboration", durability=durability)
                got: list[int] = []
                while len(got) < 3:
                    task = await anext(tasks)
                    if task.epoch > first.epoch:
                        got.append(int(task.tensor))
                    await task.ack()
                assert got == [3, 4, 5]
                await until(lambda: len(observed) == 6)
            assert {message.stream for message in observed} == {"wf/tasks"}  # no dead letters


@pytest.mark.parametrize("stored", [False, True])
async def test_large_messages_under_way_in_both_directions(tmp_path: Path, stored: bool) -> None:
    value = np.random.default_rng(7).random(8 * 1024 * 1024)  # 64 MiB that do not compress
    durability = "os" if stored else "memory"
    with running_gateway_process(*arguments(tmp_path)) as gateway:
        async with (
            connect(gateway.url, client_id="publisher") as publisher,
            connect(gateway.url, client_id="reader") as reader,
        ):
            seen: list[Message] = []
            ended: list[StreamEnded] = []
            errors: list[Exception] = []
            sent: list[int] = []
            received: list[int] = []
            async with reading(
                reader,
                "wf/*",
                seen,
                on_ended=ended.append,
                on_error=errors.append,
                progress=lambda stream, have, total: received.append(have),
            ):
                publish = asyncio.create_task(
                    publisher.publish(
                        "wf/big",
                        value,
                        kind="event",
                        durability=durability,
                        codec="none",
                        progress=lambda have, total: sent.append(have),
                    )
                )
                await until(lambda: received)
                async with connect(gateway.url) as deleter:
                    await deleter.delete("wf/big")
                result = await publish  # it was sent again, to the next stream
                assert result.offset == 0
                await until(lambda: seen)
                assert [(message.epoch, message.offset) for message in seen] == [(result.epoch, 0)]
                assert np.array_equal(seen[0].tensor, value)
                assert [each.reason for each in ended] == ["deleted"]
                assert errors == []


async def test_a_publisher_that_does_nothing_meanwhile_loses_nothing(durability: str, tmp_path: Path) -> None:
    with running_gateway_process(*arguments(tmp_path)) as gateway:
        errors: list[Exception] = []
        async with (
            connect(gateway.url, client_id="publisher", on_error=errors.append) as publisher,
            connect(gateway.url, client_id="reader") as reader,
        ):
            seen: list[Message] = []
            async with reading(reader, "wf/*", seen):
                old = await publisher.publish("wf/events", -1, kind="event", durability=durability)
                await reader.delete("wf/events")
                await publisher.drain()
                await publisher.publish("other/events", 0)  # acknowledged behind the word of the end
                for number in range(100):
                    publisher.publish_nowait("wf/events", np.int64(number))
                    if number % 10 == 0:
                        result = await publisher.publish("wf/events", np.int64(1000 + number))
                        assert result.durability == old.durability == durability
                        assert result.epoch > old.epoch
                await publisher.drain()
                await until(lambda: len(seen) == 111)
                values = [int(message.tensor) for message in seen[1:]]
                expected = [
                    each for number in range(100) for each in ([number, 1000 + number][: 2 - bool(number % 10)])
                ]
                assert values == expected
                assert {message.kind for message in seen} == {"event"}
        assert errors == []


async def test_what_is_deleted_does_not_come_back_with_a_restart_nor_with_a_kill(tmp_path: Path) -> None:
    for kill in (False, True):
        with running_gateway_process(*arguments(tmp_path)) as gateway:
            async with connect(gateway.url) as client:
                for name in ("wf/a", "wf/b"):
                    for _ in range(50):
                        last = await client.publish(name, np.zeros(1000), kind="event", durability="fsync")
                await client.publish("wf/state", 1, durability="os")
                await client.delete("wf/a")
                await client.delete("wf/state")
                again = await client.publish("wf/state", 2, durability="os")
                if kill:
                    gateway.process.send_signal(signal.SIGKILL)
                    gateway.process.wait()
        with running_gateway_process(*arguments(tmp_path)) as gateway:
            async with connect(gateway.url) as client:
                with pytest.raises(RequestRefused) as refused:
                    await client.delete("wf/a")
                assert refused.value.code == Code.UNKNOWN_STREAM
                async with client.subscribe("wf/b", since="beginning") as messages:
                    assert (await anext(messages)).epoch == last.epoch
                async with client.subscribe("wf/state") as states:
                    state = await anext(states)
                    assert (state.epoch, state.offset, int(state.tensor)) == (again.epoch, 0, 2)
                new = await client.publish("wf/a", 1, kind="event", durability="fsync")
                assert new.offset == 0
                assert new.epoch > last.epoch
                assert await client.delete("wf/**") == ["wf/b", "wf/state", "wf/a"]


async def test_epochs_grow_however_often_a_name_is_used_again_also_over_a_restart(tmp_path: Path) -> None:
    epochs: list[int] = []
    for _ in range(2):
        with running_gateway_process(*arguments(tmp_path)) as gateway:
            async with connect(gateway.url) as client:
                for _ in range(300):
                    epochs.append((await client.publish("wf/a", 1, kind="event", durability="os")).epoch)
                    await client.delete("wf/a")
    assert epochs == sorted(set(epochs))


def test_a_blocking_client_deletes_twice(tmp_path: Path) -> None:
    with running_gateway_process() as gateway, sync.connect(gateway.url) as client:
        for number in range(70):
            client.publish(f"wf/{number}", number)
        assert len(client.delete("wf/*")) == 70
        assert client.delete("wf/*") == []
        with pytest.raises(RequestRefused) as refused:
            client.delete("wf/1")
        assert refused.value.code == Code.UNKNOWN_STREAM
        with pytest.raises(RequestRefused) as refused:
            client.delete("nonsense")
        assert refused.value.code == Code.INVALID_NAME


async def test_by_http(tmp_path: Path) -> None:
    def delete(url: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="DELETE")) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    with running_gateway_process(*arguments(tmp_path)) as gateway:
        streams = f"{gateway.admin_url}/api/v1/streams"
        async with connect(gateway.url) as client:
            await client.publish("wf/a", 1, durability="fsync")
            assert await asyncio.to_thread(delete, f"{streams}/wf/a") == (200, b'{"deleted":["wf/a"]}')
            status, body = await asyncio.to_thread(delete, f"{streams}/wf/a")
            assert status == 404
            assert b'"error":"UNKNOWN_STREAM"' in body
            assert (await client.publish("wf/a", 2)).offset == 0
            metrics = await asyncio.to_thread(lambda: urllib.request.urlopen(f"{gateway.admin_url}/metrics").read())
            assert b'frys_ended_streams_total{reason="deleted"} 1.0' in metrics


async def test_streams_expire_by_rule_and_who_watches_is_told(tmp_path: Path) -> None:
    config = tmp_path / "frys.toml"
    config.write_text(
        '[[streams]]\npattern = "runs/**"\nkind = "event"\nexpires_after_s = 0.1\n'
        "history = { max_messages = 10, max_bytes = 10_000, max_age_s = 0.1 }\n"
    )
    with running_gateway_process("--config", str(config)) as gateway:
        async with connect(gateway.url, client_id="watcher") as watcher:
            seen: list[Message] = []
            ended: list[StreamEnded] = []
            async with reading(watcher, "runs/*", seen, on_ended=ended.append):
                async with connect(gateway.url) as client:
                    result = await client.publish("runs/1", 1)
                await until(lambda: ended)
            assert [(message.stream, message.offset) for message in seen] == [("runs/1", 0)]
            assert ended == [StreamEnded("runs/1", result.epoch, "expired")]


async def test_both_accounts_go_on_when_streams_have_ended() -> None:
    names = [f"wf/{number}" for number in range(1100)]
    async with running_gateway() as gateway, connect(gateway.url) as client:
        gone = asyncio.Event()
        ended: list[StreamEnded] = []

        def note(end: StreamEnded) -> None:
            ended.append(end)
            if len(ended) == len(names):
                gone.set()

        async with client.subscribe("wf/*", on_ended=note) as subscription:
            await asyncio.gather(*[client.publish(name, 1, kind="event") for name in names])
            for _ in names:
                await anext(subscription)
            assert len(await client.delete("wf/*")) == len(names)
            await asyncio.wait_for(gone.wait(), 20)
            assert len(subscription.account) == 1024
            assert await client.account(subscription) == subscription.account
            await client.publish(ended[0].stream, 1, kind="event")
            await anext(subscription)
            assert subscription.account[ended[0].stream].delivered == 2
            assert await client.account(subscription) == subscription.account


async def test_a_client_forgets_what_it_keeps_of_streams_that_ended_while_it_had_no_connection() -> None:
    kinds = ("state", "event", "collaboration")
    async with (
        running_gateway() as gateway,
        cutting_proxy(gateway.url) as proxy,
        connect(gateway.url) as publisher,
        connect(proxy.url, client_id="reader", backoff=Backoff(0.0, 0.01, 0.01)) as reader,
        reader.subscribe("**") as subscription,
    ):

        async def publish(*names: str) -> None:
            """Publish to a stream of each kind, and wait until the reader has the messages."""
            for name in names:
                for kind in kinds:
                    await publisher.publish(f"{name}/{kind}", 1, kind=kind)
            for _ in range(len(names) * len(kinds)):
                await anext(subscription)

        await publish("stays")
        for run in range(3):
            await publish(f"run-{run}")
            proxy.accepting = False
            proxy.cut()
            await publisher.delete(f"run-{run}/*")
            proxy.accepting = True
            await publish("stays")
        kept = reader._core.subscriptions
        await until(lambda: set(kept._versions._newest) == {"stays/state"})
        await until(lambda: set(kept._duplicate_filters._filters) == {"stays/collaboration"})
        assert await reader.account(subscription) == subscription.account
        assert subscription.account["stays/event"].delivered == 4
        assert subscription.account["run-1/event"].delivered == 1
