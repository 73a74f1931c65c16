"""PUT: a file becomes a message, bit for bit; whatever is wrong with it has its status, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import ml_dtypes
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.admin.application import make_application
from gateway.admin.arrays.npy import write_header
from gateway.admin.arrays.upload import FileUpload
from gateway.admin.http.failures import peer_failed
from gateway.admin.reports.metrics import Metrics
from gateway.app import Gateway
from gateway.client import Message, connect
from gateway.config import Settings
from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.errors import Code, PeerError
from gateway.ids import StreamName
from gateway.protocol import meta
from gateway.protocol.dtypes import DTYPES
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.testing import running_gateway, running_gateway_process
from tests.admin.files import CHUNK_BYTES, Array, failure_of, publish, saved
from tests.connections.admission.full import full

LARGE = np.random.default_rng(1).random((5, CHUNK_BYTES // 8)) + 1
MIB = 1024 * 1024


async def in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    """A body without a length, cut into pieces."""
    for at in range(0, len(data), size):
        yield data[at : at + size]
        await asyncio.sleep(0)


async def held_body(go_on: asyncio.Event) -> AsyncIterator[bytes]:
    """A large file, of which the first two chunks come at once, and the rest when it may."""
    data = saved(LARGE)
    yield data[: 2 * CHUNK_BYTES]
    await go_on.wait()
    yield data[2 * CHUNK_BYTES :]


async def until(http: httpx.AsyncClient, condition: Callable[[], bool]) -> None:
    """Look whether something has happened, with a turn of the gateway between two looks."""
    while not condition():
        await http.get("/healthz")


def nothing_left(gateway: Gateway) -> bool:
    """Whether no upload has a large message under way."""
    return not any(session.transfers for session in gateway.core.pool)


@pytest.mark.parametrize(
    "array",
    [np.float32(7), np.zeros((0, 3)), np.arange(6).reshape(2, 3), LARGE],
    ids=["0-d", "empty", "small", "large"],
)
async def test_two_subscribers_receive_the_array(gateway: Gateway, http: httpx.AsyncClient, array: Array) -> None:
    async with (
        connect(gateway.url, client_type="agent", client_id="one") as one,
        connect(gateway.url, client_type="admin_panel", client_id="two") as two,
        one.subscribe("wf/a") as first,
        two.subscribe("wf/*") as second,
    ):
        response = await http.put("/api/v1/streams/wf/a", content=saved(np.asarray(array)))
        (stream,) = gateway.core.streams
        assert response.status_code == 200
        answer = {"stream": "wf/a", "epoch": stream.epoch, "offset": 0, "kind": "state", "durability": "memory"}
        assert response.json() == answer
        for messages in (first, second):
            message = await anext(messages)
            assert (message.stream, message.offset) == ("wf/a", 0)
            assert message.tensor.dtype == np.asarray(array).dtype
            np.testing.assert_array_equal(message.tensor, array)
    assert nothing_left(gateway)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
async def test_every_dtype_comes_back_bit_for_bit(http: httpx.AsyncClient, dtype: np.dtype[np.generic]) -> None:
    data = saved(np.arange(24).reshape(2, 3, 4).astype(dtype))
    assert (await http.put("/api/v1/streams/wf/a", content=data)).status_code == 200
    assert (await http.get("/api/v1/streams/wf/a")).content == data


@pytest.mark.parametrize("size", [1, 100, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES])
async def test_a_body_without_a_length_in_any_pieces(http: httpx.AsyncClient, size: int) -> None:
    data = saved(LARGE[:2])
    response = await http.put("/api/v1/streams/wf/a", content=in_pieces(data, size))
    assert response.status_code == 200
    assert (await http.get("/api/v1/streams/wf/a")).content == data


@pytest.mark.parametrize("kind", list(Kind))
async def test_the_kind_is_that_of_the_query(gateway: Gateway, http: httpx.AsyncClient, kind: Kind) -> None:
    response = await http.put("/api/v1/streams/wf/a", params={"kind": kind.value}, content=saved(LARGE))
    assert response.json()["kind"] == kind
    again = await http.put("/api/v1/streams/wf/a", content=saved(LARGE))
    assert (again.json()["kind"], again.json()["offset"]) == (kind, 1)


@pytest.mark.parametrize("body", [saved(LARGE), saved(np.array(3.0)), b""], ids=["large", "small", "none"])
async def test_headers_of_the_query_are_those_of_the_message(
    gateway: Gateway, http: httpx.AsyncClient, body: bytes
) -> None:
    query = "kind=control&header.action=pause&header.after_s=2.5"
    async with connect(gateway.url) as client, client.subscribe("wf/commands") as messages:
        assert (await http.put(f"/api/v1/streams/wf/commands?{query}", content=body)).status_code == 200
        message = await anext(messages)
    assert message.headers == {"action": "pause", "after_s": 2.5}
    assert len(message.tensors) == bool(body)


async def test_a_body_without_bytes_needs_headers(http: httpx.AsyncClient) -> None:
    answer = await http.put("/api/v1/streams/wf/a", content=b"")
    assert "?header.step=7" in failure_of(answer, Code.INVALID_REQUEST, 400)


async def test_headers_that_are_too_large(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meta, "MAX_HEADERS_BYTES", 100)
    answer = await http.put(f"/api/v1/streams/wf/a?header.note={'x' * 100}", content=saved(LARGE))
    assert "headers of" in failure_of(answer, Code.INVALID_TENSOR, 422)


async def test_uploads_side_by_side(http: httpx.AsyncClient) -> None:
    arrays = [LARGE + number for number in range(8)]
    uploads = [http.put("/api/v1/streams/wf/a", content=in_pieces(saved(array), 999)) for array in arrays]
    offsets = [response.json()["offset"] for response in await asyncio.gather(*uploads)]
    assert sorted(offsets) == list(range(8))


@pytest.mark.parametrize("durability", list(Durability))
async def test_the_durability_is_that_of_the_query(tmp_path: Path, durability: Durability) -> None:
    settings = Settings(admin_port=0, store=f"sqlite:{tmp_path / 'streams.db'}")
    async with (
        running_gateway(settings) as gateway,
        httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60) as http,
    ):
        url, array = "/api/v1/streams/wf/a", saved(np.ones(3))
        response = await http.put(url, params={"durability": durability.value}, content=array)
        assert response.json()["durability"] == durability
        again = await http.put(url, content=array)
        assert (again.json()["durability"], again.json()["offset"]) == (durability, 1)
        other = "memory" if durability is not Durability.MEMORY else "os"
        refused = await http.put(url, params={"durability": other}, content=array)
        assert "frys rm wf/a" in failure_of(refused, Code.DURABILITY_MISMATCH, 409)


# What is refused.


@pytest.mark.parametrize("durability", ["os", "fsync"])
async def test_a_durability_without_a_store(http: httpx.AsyncClient, durability: str) -> None:
    response = await http.put(f"/api/v1/streams/wf/a?durability={durability}", content=saved(LARGE))
    assert "--store" in failure_of(response, Code.DURABILITY_MISMATCH, 409)


async def test_another_kind(http: httpx.AsyncClient) -> None:
    await http.put("/api/v1/streams/wf/a?kind=event", content=saved(LARGE))
    response = await http.put("/api/v1/streams/wf/a?kind=state", content=saved(LARGE))
    assert failure_of(response, Code.KIND_MISMATCH, 409) == (
        "stream wf/a is of kind event, not state: publish with kind event, or to another stream,"
        " or delete this one first (frys rm wf/a)"
    )


async def test_a_kind_that_is_none(http: httpx.AsyncClient) -> None:
    response = await http.put("/api/v1/streams/wf/a?kind=poem", content=saved(LARGE))
    assert "state" in failure_of(response, Code.INVALID_REQUEST, 400)


@pytest.mark.parametrize("name", ["wf", "wf/", "agent:planner", "wf/*", "wf/%20", "wf/%FF", "a" * 300 + "/b"])
async def test_a_name_that_is_none(gateway: Gateway, http: httpx.AsyncClient, name: str) -> None:
    failure_of(await http.put(f"/api/v1/streams/{name}", content=saved(LARGE)), Code.INVALID_NAME, 400)
    assert not len(gateway.core.streams)


@pytest.mark.parametrize(
    ("array", "way_out"),
    [
        (np.asfortranarray(LARGE), "np.ascontiguousarray"),
        (LARGE.astype(">f8"), "astype"),
        (np.zeros(3, "M8[s]"), "int64"),
        (np.zeros((1,) * 33), "33 dimensions"),
    ],
    ids=["Fortran", "big-endian", "time", "dimensions"],
)
async def test_an_array_that_cannot_be_sent_as_it_is(
    gateway: Gateway, http: httpx.AsyncClient, array: Array, way_out: str
) -> None:
    response = await http.put("/api/v1/streams/wf/a", content=saved(array))
    assert way_out in failure_of(response, Code.INVALID_TENSOR, 422)
    assert not len(gateway.core.streams)
    assert nothing_left(gateway)


@pytest.mark.parametrize("body", [b"", b"\x93NUM", b"{}", saved(LARGE)[:100]])
async def test_a_body_that_is_no_file(http: httpx.AsyncClient, body: bytes) -> None:
    response = await http.put("/api/v1/streams/wf/a", content=body)
    assert "not a .npy file" in failure_of(response, Code.INVALID_REQUEST, 400)


@pytest.mark.parametrize("body", [saved(LARGE)[:-1], saved(LARGE) + b"x", saved(LARGE[0, :3])[:-1]])
async def test_a_length_that_is_not_that_of_the_shape(gateway: Gateway, http: httpx.AsyncClient, body: bytes) -> None:
    response = await http.put("/api/v1/streams/wf/a", content=body)
    assert re.match(r"the body has \d+ bytes, but \d+ by its .npy", failure_of(response, Code.SIZE_MISMATCH, 400))
    assert not len(gateway.core.streams)


@pytest.mark.parametrize("body", [saved(LARGE)[:-1], saved(LARGE) + b"x"], ids=["short", "long"])
async def test_a_body_of_unknown_length_that_is_not_that_of_the_shape(
    gateway: Gateway, http: httpx.AsyncClient, body: bytes
) -> None:
    async with connect(gateway.url, client_type="agent") as client, client.subscribe("wf/a") as messages:
        publish(gateway, "wf/a", {"": np.ones(1)})
        assert (await anext(messages)).offset == 0
        response = await http.put("/api/v1/streams/wf/a", content=in_pieces(body, 5000))
        assert "dtype and shape say" in failure_of(response, Code.SIZE_MISMATCH, 400)
        publish(gateway, "wf/a", {"": np.ones(3)})
        # The subscriber has had most of the other one, and is told that it does not come.
        message = await anext(messages)
        assert (message.offset, message.tensor.shape) == (1, (3,))
    assert nothing_left(gateway)


HUGE = 1 << 62
HEADERS = [
    f"{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}}}"
    for descr, fortran_order, shape in [
        ("'<f4'", "False", f"({HUGE}, {HUGE})"),
        ("'<f4'", "False", f"(0, {HUGE}, {HUGE})"),
        ("'<f4'", "False", f"({f'{HUGE},' * 400})"),
        ("'|u1'", "False", f"({(1 << 63) - 1},)"),
        ("'|u1'", "False", "(-1,)"),
        ("'<f4'", "False", f"({'1,' * 33})"),
        ("'<f4'", "False", f"(0x{'f' * 5000},)"),
        (f"0x{'f' * 5000}", "False", "(3,)"),
        ("[('a', '<f4')]", "False", "(3,)"),
        ("'|O'", "False", "(3,)"),
        ("'<f4'", "True", "(2, 3)"),
        ("'<f4'", "None", "(2, 3)"),
    ]
] + ["(" * 9000, "[" * 90 + "]" * 90, "-" * 9000 + "1", "9" * 9000, "'\\ud800'", "\0"]


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_any_header_is_refused_at_worst(gateway: Gateway, http: httpx.AsyncClient, version: int) -> None:
    for header, more in itertools.product(HEADERS, [b"", bytes(1000)]):
        length = len(header).to_bytes(2 if version == 1 else 4, "little")
        file = b"\x93NUMPY" + bytes((version, 0)) + length + header.encode() + more
        for body in (file, in_pieces(file, 999)):
            response = await http.put("/api/v1/streams/wf/a", content=body)
            assert 400 <= response.status_code < 500
            assert len(response.json()["message"]) < 500
    assert not any(stream.newest for stream in gateway.core.streams)
    assert nothing_left(gateway)


async def test_a_message_above_the_limit(gateway: Gateway, http: httpx.AsyncClient) -> None:
    shape = (gateway.settings.core.limits.max_message_bytes + 1,)
    header = write_header(np.dtype(np.uint8), shape)
    response = await http.put("/api/v1/streams/wf/a", content=in_pieces(header, 64))
    assert "max_message_bytes" in failure_of(response, Code.MESSAGE_TOO_BIG, 413)


async def test_a_client_that_is_refused_may_finish_its_body(http: httpx.AsyncClient) -> None:
    body = saved(np.zeros(4 * MIB, "M8[s]"))
    for _ in range(2):
        failure_of(await http.put("/api/v1/streams/wf/a", content=body), Code.INVALID_TENSOR, 422)


async def test_a_client_that_leaves_halfway(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url, client_type="agent") as client, client.subscribe("wf/a") as messages:
        publish(gateway, "wf/a", {"": np.ones(1)})
        assert (await anext(messages)).offset == 0
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.admin_port)
        body = saved(LARGE)
        writer.write(b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body))
        writer.write(body[: 2 * CHUNK_BYTES])
        await writer.drain()
        await until(http, lambda: not nothing_left(gateway))
        writer.close()
        await until(http, lambda: nothing_left(gateway))
        publish(gateway, "wf/a", {"": np.ones(3)})
        assert (await anext(messages)).offset == 1


async def test_a_client_that_sends_nothing_more(gateway: Gateway) -> None:
    application = make_application(gateway.core, Metrics(gateway.core), idle_timeout_s=0.05)
    never = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield saved(LARGE)[: 2 * CHUNK_BYTES]
        await never.wait()

    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        response = await client.put("/api/v1/streams/wf/a", content=body())
    assert (response.status_code, response.json()["error"]) == (408, "REQUEST_TIMEOUT")
    assert nothing_left(gateway)


async def test_a_client_that_sends_too_slowly(gateway: Gateway) -> None:
    application = make_application(gateway.core, Metrics(gateway.core), idle_timeout_s=0.05)

    async def body() -> AsyncIterator[bytes]:
        for byte in saved(LARGE):
            yield bytes([byte])
            await asyncio.sleep(0)

    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        response = await client.put("/api/v1/streams/wf/a", content=body())
    assert (response.status_code, response.json()["error"]) == (408, "REQUEST_TIMEOUT")
    assert "send at least" in response.json()["message"]
    assert nothing_left(gateway)


async def test_more_uploads_than_the_gateway_takes(gateway: Gateway, http: httpx.AsyncClient) -> None:
    files = FileUpload(gateway.core, 60.0, max_uploads=1)
    application = Starlette(
        routes=[Route("/{name:path}", files.put, methods=["PUT"])], exception_handlers={PeerError: peer_failed}
    )
    go_on = asyncio.Event()
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        first = asyncio.ensure_future(client.put("/wf/a", content=held_body(go_on)))
        await until(http, lambda: not nothing_left(gateway))
        refused = await client.put("/wf/b", content=saved(LARGE))
        assert "1 uploads are under way" in failure_of(refused, Code.LIMIT_EXCEEDED, 429)
        go_on.set()
        assert (await first).status_code == 200
        assert (await client.put("/wf/b", content=saved(LARGE))).status_code == 200


async def test_an_upload_waits_while_the_gateway_takes_nothing(gateway: Gateway, http: httpx.AsyncClient) -> None:
    go_on = asyncio.Event()
    upload = asyncio.ensure_future(http.put("/api/v1/streams/wf/a", content=held_body(go_on)))
    await until(http, lambda: not nothing_left(gateway))
    sessions = list(gateway.core.pool)
    sessions[0].connection.transport.pause_reading()
    received = len(sessions[0].transfers[1].message.chunks)
    go_on.set()
    for _ in range(3):
        await http.get("/healthz")
    assert len(sessions[0].transfers[1].message.chunks) == received
    sessions[0].connection.transport.resume_reading()
    assert (await upload).status_code == 200


async def read_all(messages: AsyncIterator[Message]) -> None:
    async for _ in messages:
        pass


async def test_a_full_receiver_of_a_collaboration_stream(gateway: Gateway, http: httpx.AsyncClient) -> None:
    await http.put("/api/v1/streams/wf/a?kind=collaboration", content=saved(LARGE))
    async with connect(gateway.url, client_id="worker") as client, client.subscribe("wf/a") as messages:
        (session,) = gateway.core.pool
        half = saved(np.zeros(gateway.settings.core.consumers.limit_bytes // 2, "u1"))
        session.connection.pause_writing()
        await http.put("/api/v1/streams/wf/a", content=half)
        stream = gateway.core.streams.get(StreamName("wf/a"))
        assert stream is not None
        fanout = gateway.core.hub.fanouts.of(stream)
        assert isinstance(fanout, ConsumerFanout)
        # Each upload is a publisher of its own. Those that are taken are acknowledged when the receiver has caught up.
        taken = [asyncio.ensure_future(http.put("/api/v1/streams/wf/a", content=half)) for _ in range(3)]
        while fanout.held_bytes < 4 * len(half):  # noqa: ASYNC110 - nothing tells when it is full
            await asyncio.sleep(0.01)
        response = await http.put("/api/v1/streams/wf/a", content=saved(LARGE))
        failure_of(response, Code.QUEUE_FULL, 429)
        assert response.headers["retry-after"] == "1"
        session.connection.resume_writing()
        catching_up = asyncio.ensure_future(read_all(messages))
        assert {(await each).status_code for each in taken} == {200}
        catching_up.cancel()


async def test_a_gateway_that_is_full(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.core.admission = full()
    response = await http.put("/api/v1/streams/wf/a", content=saved(LARGE))
    assert "max_connections=0" in failure_of(response, Code.TOO_MANY_CONNECTIONS, 503)


async def test_a_gateway_that_is_stopping(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.core.go_away("stopping", 5.0)
    failure_of(await http.put("/api/v1/streams/wf/a", content=saved(LARGE)), Code.DRAINING, 503)


async def test_an_upload_under_way_is_finished_while_the_gateway_stops(
    gateway: Gateway, http: httpx.AsyncClient
) -> None:
    go_on = asyncio.Event()
    upload = asyncio.ensure_future(http.put("/api/v1/streams/wf/a", content=held_body(go_on)))
    await until(http, lambda: not nothing_left(gateway))
    stop = asyncio.ensure_future(gateway.stop())
    while (await http.get("/readyz")).status_code == 200:
        pass
    go_on.set()
    assert (await upload).status_code == 200
    await stop


# The real thing.


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("array", [np.arange(6.0), np.random.default_rng(2).random(3 * MIB // 8)], ids=["6", "3 MiB"])
def test_curl(tmp_path: Path, array: Array) -> None:
    np.save(tmp_path / "weights.npy", array)
    with running_gateway_process() as process:
        url = f"{process.admin_url}/api/v1/streams/wf/weights"
        for _ in range(2):
            subprocess.run(["curl", "-sSf", "-T", "weights.npy", url], cwd=tmp_path, check=True)
        subprocess.run(["curl", "-sSf", "-o", "back.npy", url], cwd=tmp_path, check=True)
        refused = ["curl", "-sS", "-w", "%{http_code}", "-o", "error.json", "-T", "weights.npy", f"{url}?kind=event"]
        status = subprocess.run(refused, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert status == "409"
    assert (tmp_path / "back.npy").read_bytes() == (tmp_path / "weights.npy").read_bytes()


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had, since it was asked to forget the past."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="counts memory by /proc")
def test_a_large_file_is_held_once_and_given_out_in_pieces() -> None:
    array = np.random.default_rng(3).integers(0, 256, 64 * MIB, "u1")
    data = saved(array)
    with running_gateway_process() as process, httpx.Client(base_url=process.admin_url or "", timeout=60) as client:
        pid = process.process.pid
        client.put("/api/v1/streams/wf/warm", content=saved(np.zeros(3 * MIB, "u1"))).raise_for_status()
        client.get("/api/v1/streams/wf/warm").raise_for_status()
        forget_peak(pid)
        start_bytes = peak_bytes(pid)
        client.put("/api/v1/streams/wf/large", content=data).raise_for_status()
        held_bytes = peak_bytes(pid) - start_bytes
        assert array.nbytes * 0.9 < held_bytes < array.nbytes * 1.25
        forget_peak(pid)
        start_bytes = peak_bytes(pid)
        assert client.get("/api/v1/streams/wf/large").content == data
        assert peak_bytes(pid) - start_bytes < array.nbytes * 0.15


async def test_bfloat16_keeps_its_dtype_on_the_wire(gateway: Gateway, http: httpx.AsyncClient) -> None:
    array = np.arange(5).astype(ml_dtypes.bfloat16)
    async with connect(gateway.url, client_type="agent") as client, client.subscribe("wf/a") as messages:
        await http.put("/api/v1/streams/wf/a", content=saved(array))
        message = await anext(messages)
        assert message.tensor.dtype == array.dtype
        np.testing.assert_array_equal(message.tensor, array)
