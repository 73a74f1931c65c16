"""Subscriber of ``recovery.py`` through the SDK, the program of a process of its own."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from benchmarks.processes import VerificationFailed
from benchmarks.sdk_clients import RECORD_BYTES, Plan, Results, run_client
from gateway.client import Client, Subscription, connect

LIVE: Final = 1000
"""Messages published once the missed ones have arrived."""


def recover(plan: Plan, core: int, results: Results, missed: int, in_batches: bool, every_byte: bool) -> None:
    """Receive ``missed`` messages, then some live ones, and verify every offset.

    Args:
        plan: URL and stream.
        core: core of the process.
        results: takes the result.
        missed: number of missed messages.
        in_batches: receive record batches instead of messages one by one.
        every_byte: verify the number in each payload, too, which takes longer than the receipt.
    """
    run_client(core, _recover(plan, results, missed, in_batches=in_batches, every_byte=every_byte))


async def _recover(plan: Plan, results: Results, missed: int, *, in_batches: bool, every_byte: bool) -> None:
    async with connect(plan.url, client_type="agent", client_id="latecomer") as client:
        subscription = client.subscribe(plan.stream, since=0)
        take = _take_batches if in_batches else _take_messages
        begin = time.monotonic()
        await take(subscription, 0, missed, every_byte)
        seconds = time.monotonic() - begin
        _publish_live(client, plan.stream, missed)
        await take(subscription, missed, missed + LIVE, every_byte)
        stats = subscription.stats
        await subscription.close()
    if stats.replayed != missed or stats.received != missed + LIVE or stats.dropped or stats.duplicates:
        raise VerificationFailed(f"{missed} messages were missed, and the subscription counts {stats}")
    results.put({"per_second": missed / seconds, "messages": missed})


async def _take_messages(subscription: Subscription, expected: int, end: int, every_byte: bool) -> None:
    async for message in subscription:
        if message.offset != expected:
            raise VerificationFailed(f"offset {message.offset} where {expected} was expected")
        if every_byte:
            _check_numbers(message.tensor.reshape(1, -1), message.offset)
        expected += 1
        if expected == end:
            return


async def _take_batches(subscription: Subscription, expected: int, end: int, every_byte: bool) -> None:
    async for batch in subscription.batches():
        if batch.offset != expected:
            raise VerificationFailed(f"offset {batch.offset} where {expected} was expected")
        if every_byte:
            _check_numbers(batch.array, batch.offset)
        expected += batch.count
        if expected == end:
            return


def _check_numbers(records: np.ndarray[Any, Any], offset: int) -> None:
    met = np.ascontiguousarray(records[:, :8]).view("<u8").ravel()
    if records.shape[1] != RECORD_BYTES or not np.array_equal(met, np.arange(offset, offset + len(met), dtype="<u8")):
        raise VerificationFailed(f"records {met} of {records.shape[1]} bytes at offset {offset}")


def _publish_live(client: Client, stream: str, first: int) -> None:
    record = np.zeros(RECORD_BYTES, np.uint8)
    for number in range(first, first + LIVE):
        record[:8] = np.array([number], "<u8").view(np.uint8)
        client.publish_nowait(stream, record)
