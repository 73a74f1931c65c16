"""GET: the newest state as a file, whatever the form in which the gateway holds it."""

from __future__ import annotations

import asyncio
import logging

import httpx
import ml_dtypes
import numpy as np
import pytest

from gateway.admin.application import make_application
from gateway.admin.reports.metrics import Metrics
from gateway.app import Gateway
from gateway.client import connect
from gateway.errors import Code
from gateway.protocol.encoding import CodecStep, Encoding
from gateway.protocol.messages import Kind
from gateway.streams.large import LargeMessage, StoredChunk
from tests.admin.files import CHUNK_BYTES, Array, failure_of, loaded, publish, saved

LARGE = np.arange(3 * CHUNK_BYTES, dtype="<i4").reshape(3, -1)
SMALL = np.arange(6.0).reshape(2, 3)
MIDDLE = (np.arange(CHUNK_BYTES) % 7).astype("u1")


async def test_a_state(gateway: Gateway, http: httpx.AsyncClient) -> None:
    receipt = publish(gateway, "wf/deep/weights", {"": SMALL})
    response = await http.get("/api/v1/streams/wf/deep/weights")
    assert response.status_code == 200
    assert response.content == saved(SMALL)
    assert response.headers["x-frys-offset"] == "0"
    assert response.headers["x-frys-epoch"] == str(receipt.epoch)
    assert response.headers["x-frys-dtype"] == "float64"
    assert response.headers["content-length"] == str(len(response.content))
    assert 'filename="weights.npy"' in response.headers["content-disposition"]


@pytest.mark.parametrize("codec", ["none", "lz4", "shuffle+zstd:3", "snappy", "pco:4"])
@pytest.mark.parametrize("array", [SMALL, MIDDLE, LARGE], ids=["small", "middle", "large"])
async def test_what_clients_publish_however_it_is_encoded(
    gateway: Gateway, http: httpx.AsyncClient, codec: str, array: Array
) -> None:
    async with connect(gateway.url, client_type="agent") as client:
        await client.publish("wf/a", array, codec=codec)
        assert (await http.get("/api/v1/streams/wf/a")).content == saved(array)


async def test_the_last_record_of_a_batch(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url, client_type="agent") as client:
        for number in range(5):
            client.publish_nowait("wf/a", SMALL + number)
        await client.drain()
    response = await http.get("/api/v1/streams/wf/a")
    assert response.headers["x-frys-offset"] == "4"
    np.testing.assert_array_equal(loaded(response.content), SMALL + 4)


@pytest.mark.parametrize("array", [np.array(7.0), np.zeros((0, 3)), np.zeros((CHUNK_BYTES + 8, 0))], ids=str)
async def test_scalars_and_empty_arrays(gateway: Gateway, http: httpx.AsyncClient, array: Array) -> None:
    publish(gateway, "wf/a", {"": array})
    assert (await http.get("/api/v1/streams/wf/a")).content == saved(array)


async def test_bfloat16_has_the_descr_that_numpy_gives_it(gateway: Gateway, http: httpx.AsyncClient) -> None:
    array = SMALL.astype(ml_dtypes.bfloat16)
    publish(gateway, "wf/a", {"": array})
    response = await http.get("/api/v1/streams/wf/a")
    assert response.headers["x-frys-dtype"] == "bfloat16"
    assert response.content == saved(array)


async def test_a_bool_is_0_or_1(gateway: Gateway, http: httpx.AsyncClient) -> None:
    array = np.arange(2 * CHUNK_BYTES).astype("u1")
    publish(gateway, "wf/a", {"": array.view(bool)})
    assert (await http.get("/api/v1/streams/wf/a")).content == saved(array != 0)


@pytest.mark.parametrize("size", [3, CHUNK_BYTES + 3], ids=["small", "large"])
async def test_one_of_several_tensors(gateway: Gateway, http: httpx.AsyncClient, size: int) -> None:
    tensors = {
        "first": np.arange(size).astype("u1"),
        "größe": np.arange(size, dtype="<f8"),
        "last": np.array(5, "<i2"),
    }
    publish(gateway, "wf/a", tensors)
    etags = set()
    for name, array in tensors.items():
        response = await http.get("/api/v1/streams/wf/a", params={"tensor": name})
        assert response.content == saved(array)
        etags.add(response.headers["etag"])
    assert len(etags) == 3
    for query in ({}, {"tensor": "none"}, {"tensor": ""}):
        message = failure_of(await http.get("/api/v1/streams/wf/a", params=query), Code.INVALID_REQUEST, 400)
        assert "'first', 'größe', 'last'" in message


async def test_the_only_tensor_may_be_named(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/a", {"w": SMALL})
    assert (await http.get("/api/v1/streams/wf/a?tensor=w")).content == saved(SMALL)
    assert (await http.get("/api/v1/streams/wf/a")).content == saved(SMALL)
    failure_of(await http.get("/api/v1/streams/wf/a?tensor=b"), Code.INVALID_REQUEST, 400)


# What there is nothing to give for.


async def test_a_stream_that_does_not_exist(http: httpx.AsyncClient) -> None:
    failure_of(await http.get("/api/v1/streams/wf/none"), Code.UNKNOWN_STREAM, 404)
    failure_of(await http.get("/api/v1/streams/none"), Code.INVALID_NAME, 400)


async def test_a_stream_without_a_message(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/a", {"": SMALL})
    next(iter(gateway.core.streams)).newest = None
    message = failure_of(await http.get("/api/v1/streams/wf/a"), Code.UNKNOWN_STREAM, 404)
    assert message == "no message was published to wf/a yet"


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.COLLABORATION, Kind.CONTROL])
async def test_a_kind_that_keeps_nothing(gateway: Gateway, http: httpx.AsyncClient, kind: Kind) -> None:
    publish(gateway, "wf/a", {"": SMALL}, kind)
    assert kind.value in failure_of(await http.get("/api/v1/streams/wf/a"), Code.KIND_MISMATCH, 409)


async def test_a_message_without_a_tensor(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/a", {})
    assert "only headers" in failure_of(await http.get("/api/v1/streams/wf/a"), Code.INVALID_TENSOR, 422)


async def test_a_payload_that_does_not_decode(gateway: Gateway, http: httpx.AsyncClient) -> None:
    spoil(gateway, index=0)
    failure_of(await http.get("/api/v1/streams/wf/a"), Code.CORRUPT_PAYLOAD, 502)


async def test_a_chunk_that_does_not_decode_cuts_the_body_short(
    gateway: Gateway, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(gateway, index=2)
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get("/api/v1/streams/wf/a")
    assert "a download was cut off" in caplog.text
    assert not [record for record in caplog.records if record.exc_info]
    assert (await http.get("/healthz")).status_code == 200


def spoil(gateway: Gateway, index: int) -> None:
    """Publish a large message, one of whose chunks is not what it declares."""
    publish(gateway, "wf/a", {"": LARGE})
    newest = next(iter(gateway.core.streams)).newest
    assert isinstance(newest, LargeMessage)
    newest.chunks[index] = StoredChunk(Encoding(CHUNK_BYTES, (CodecStep(1, 0),)), b"\0\0\0 no lz4 block")


# HTTP.


async def test_an_etag_spares_the_body(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/a", {"": SMALL})
    etag = (await http.get("/api/v1/streams/wf/a")).headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        response = await http.get("/api/v1/streams/wf/a", headers={"if-none-match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    publish(gateway, "wf/a", {"": SMALL})
    response = await http.get("/api/v1/streams/wf/a", headers={"if-none-match": etag})
    assert response.status_code == 200
    assert response.headers["etag"] != etag


async def test_head_tells_what_get_would(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/a", {"": LARGE})
    get, head = await http.get("/api/v1/streams/wf/a"), await http.head("/api/v1/streams/wf/a")
    dates = {"date": ""}
    assert (head.status_code, head.content) == (200, b"")
    assert dict(head.headers) | dates == dict(get.headers) | dates


async def test_a_state_that_is_replaced_while_it_is_read_stays_whole(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/a", {"": LARGE})
    async with http.stream("GET", "/api/v1/streams/wf/a") as response:
        publish(gateway, "wf/a", {"": LARGE + 1})
        assert await response.aread() == saved(LARGE)
    assert (await http.get("/api/v1/streams/wf/a")).content == saved(LARGE + 1)


async def test_a_client_that_reads_nothing_is_left(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    publish(gateway, "wf/a", {"": LARGE})
    application = make_application(gateway.core, Metrics(gateway.core), idle_timeout_s=0.05)
    sent: list[str] = []

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, object]) -> None:
        sent.append(str(message["type"]))
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/api/v1/streams/wf/a", "query_string": b"", "headers": []}
    with caplog.at_level(logging.WARNING):
        await application(scope, receive, send)  # type: ignore[arg-type]
    assert sent == ["http.response.start", "http.response.body"]
    assert "has read nothing" in caplog.text


async def test_downloads_side_by_side(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/a", {"": LARGE})
    responses = await asyncio.gather(*[http.get("/api/v1/streams/wf/a") for _ in range(8)])
    assert {response.content for response in responses} == {saved(LARGE)}
