"""The benchmark ``arrays``: every kind of client moves verified arrays, and an array that is not right is found."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

import numpy as np
import pytest

from benchmarks.array_clients import ArrayPlan, AsyncClient, Started, Take
from benchmarks.array_sdk import publishing, receive
from benchmarks.arrays import CONTESTANTS, KIB, Contestant, Scene, measure
from benchmarks.peers.raw import LENGTH, ArrayRelay
from benchmarks.processes import VerificationFailed
from benchmarks.settings import Settings
from benchmarks.stamped_arrays import STAMP, WHOLE_BYTES, Array, ArrivalCheck, StampedArrays

SCENES: Final = (Scene("100 B", 100, 16), Scene("128 KiB", 128 * KIB, 2))
SIZES: Final = (100, 64 * KIB, WHOLE_BYTES, 2 * WHOLE_BYTES)


@pytest.mark.parametrize("names", [("SDK, ", "blocking"), ("hub", "nats", "pyzmq", "raw")], ids=["frys", "peers"])
def test_every_array_of_every_client_arrives(names: tuple[str, ...]) -> None:
    contestants = tuple(contestant for contestant in CONTESTANTS if contestant.name.startswith(names))
    samples = measure(SCENES, contestants, Settings(repeats=1, seconds=0.02))
    assert samples.failures == []
    for scene in SCENES:
        for contestant in contestants:
            for key in ("bytes_per_second", "publisher_us", "server_us", "subscriber_us", "p50_us", "p99_us"):
                assert samples.median(scene.name, contestant.name, key) > 0


async def receive_losing(plan: ArrayPlan, started: Started, take: Take) -> int:
    """Receive with the SDK, which seems to lose the third of the small arrays."""
    numbers = itertools.count()
    return await receive(plan, started, lambda array: not (plan.size == 100 and next(numbers) == 2) and take(array))


def test_a_lost_array_fails_its_measurement_and_no_other() -> None:
    loser = Contestant("loser", AsyncClient(publishing, receive_losing), "frys")
    samples = measure(SCENES, (loser,), Settings(repeats=1, seconds=0.02))
    assert samples.failures == ["100 B, 16 under way, loser: message 3 came, 2 is lost"]
    assert samples.state(SCENES[1].name, "loser") == "measured"


def arrive(check: ArrivalCheck, array: Array) -> None:
    check.check(array, *STAMP.unpack_from(array.data))


@pytest.mark.parametrize("size", SIZES)
def test_arrays_in_order_pass(size: int) -> None:
    published, check = StampedArrays(size, 2), ArrivalCheck(size, 2, 1, conflated=False)
    for number in range(4):
        arrive(check, published.stamp(number % 2, number, 7).copy())
    check.finish(4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_changed_array_is_found(size: int, place: int) -> None:
    array = StampedArrays(size, 2).stamp(0, 0, 7)
    array.view(np.uint32)[place] ^= 1 << 20
    with pytest.raises(VerificationFailed):
        arrive(ArrivalCheck(size, 2, 1, conflated=False), array)


@pytest.mark.parametrize(
    "spoil",
    [lambda array: array[:-1], lambda array: array.reshape(1, -1), lambda array: array.view(np.int32)],
    ids=["length", "shape", "dtype"],
)
def test_an_array_of_another_form_is_found(spoil: Callable[[Array], Array]) -> None:
    check = ArrivalCheck(4 * KIB, 1, 1, conflated=False)
    array = spoil(StampedArrays(4 * KIB, 1).stamp(0, 0, 7))
    with pytest.raises(VerificationFailed, match="not what was published"):
        check.check(array, 0, 7, 0)


@pytest.mark.parametrize(
    ("numbers", "reason"), [((0, 2), "1 is lost"), ((0, 0), "again or late"), ((0, 1, 0), "again or late")]
)
def test_a_message_that_is_lost_or_comes_again_is_found(numbers: tuple[int, ...], reason: str) -> None:
    published, check = StampedArrays(100, 1), ArrivalCheck(100, 1, 1, conflated=False)
    *first, last = numbers
    for number in first:
        arrive(check, published.stamp(0, number, 7))
    with pytest.raises(VerificationFailed, match=reason):
        arrive(check, published.stamp(0, last, 7))


def test_the_last_message_may_not_be_lost() -> None:
    check = ArrivalCheck(100, 1, 1, conflated=False)
    arrive(check, StampedArrays(100, 1).stamp(0, 0, 7))
    with pytest.raises(VerificationFailed, match="1 of 2"):
        check.finish(2)


def test_versions_of_a_state_may_be_left_out_but_not_come_late() -> None:
    published, check = StampedArrays(100, 1), ArrivalCheck(100, 1, 1, conflated=True)
    for number in (0, 5):
        arrive(check, published.stamp(0, number, 7))
    check.finish(6, conflated=4)
    with pytest.raises(VerificationFailed, match="again or late"):
        arrive(check, published.stamp(0, 4, 7))


def test_threads_have_an_order_each() -> None:
    published, check = StampedArrays(100, 1), ArrivalCheck(100, 1, 2, conflated=False)
    for number in (1, 3, 0, 5, 2):
        arrive(check, published.stamp(0, number, 7))
    with pytest.raises(VerificationFailed, match="4 is lost"):
        arrive(check, published.stamp(0, 6, 7))


class Sink(asyncio.Transport):
    """Transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


@pytest.mark.parametrize("step", [1, 3, 8, 11, 1000])
def test_the_relay_acknowledges_each_message_that_ended_wherever_it_is_cut(step: int) -> None:
    sizes = (5, 0, 100, 1)
    sent = b"".join(LENGTH.pack(size) + bytes(size) for size in sizes)
    subscriber, publisher = ArrayRelay(), ArrayRelay()
    for relay in (subscriber, publisher):
        relay.connection_made(Sink())
    for start in range(0, len(sent), step):
        publisher.data_received(sent[start : start + step])
    assert isinstance(subscriber.transport, Sink)
    assert isinstance(publisher.transport, Sink)
    assert subscriber.transport.written == sent
    assert publisher.transport.written == bytes(len(sizes))
