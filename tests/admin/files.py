"""``.npy`` files in memory, and what the tests of uploads and downloads share."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from gateway.app import Gateway
from gateway.connections.sessions.local import LocalConnection
from gateway.connections.sessions.publication import PublishOutcome, PublishReceipt
from gateway.errors import Code
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.tensors import payload_buffers, spec_of

Array = npt.NDArray[Any]

CHUNK_BYTES = 4096
"""Of the gateway of these tests."""


def saved(array: Array) -> bytes:
    """The array as ``np.save`` writes it."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def loaded(data: bytes) -> Array:
    """What ``np.load`` reads."""
    array: Array = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def publish(gateway: Gateway, stream: str, tensors: dict[str, Array], kind: Kind | None = None) -> PublishReceipt:
    """Publish from within the process."""
    outcomes: list[PublishOutcome] = []
    connection = LocalConnection(gateway.core, client_type=ClientType.AGENT)
    try:
        specs = [spec_of(array, name) for name, array in tensors.items()]
        connection.publish(stream, specs, payload_buffers(list(tensors.values())), outcomes.append, kind=kind)
    finally:
        connection.close()
    (receipt,) = outcomes
    assert isinstance(receipt, PublishReceipt), receipt
    return receipt


def failure_of(response: httpx.Response, code: Code, status: int) -> str:
    """The message of an answer that must be this failure."""
    body = response.json()
    assert (response.status_code, body["code"], body["error"]) == (status, code, code.name)
    message: str = body["message"]
    return message
