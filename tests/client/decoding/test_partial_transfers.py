"""What was cut is offered once to the next session, and goes on only as the very message that it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.decoding.partial_transfers import PartialTransfers
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.frames import frame_at
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode

U1 = np.dtype(np.uint8)


@dataclass
class Begun:
    """A large message of which some chunks have come."""

    head: InboundFrame
    next_index: int


def head(
    transfer: int, size: int = 20_000, timestamp_ns: int = 5, publisher: int = 3, chunk_bytes: int = 4096
) -> InboundFrame:
    frame = b"".join(
        write_data(
            Opcode.MESSAGE,
            stream=1,
            offset=0,
            timestamp_ns=timestamp_ns,
            publisher=publisher,
            meta=write_meta([TensorSpec("", U1, (size,))]),
            plan=ChunkPlan(transfer, chunk_bytes, size),
        )
    )
    return InboundFrame(parse_data(memoryview(frame), frame_at(frame, 0)), 0)


def kept(**transfers: tuple[int, int]) -> PartialTransfers:
    """By stream, the transfer that was cut and its first missing chunk."""
    partial = PartialTransfers()
    partial.keep((stream, Begun(head(transfer), index)) for stream, (transfer, index) in transfers.items())
    return partial


def everything(stream: str) -> bool:
    return True


def test_each_is_offered_to_the_first_subscription_that_matches() -> None:
    partial = kept(a=(4, 2), b=(5, 1))
    assert partial.offer(lambda stream: stream == "a") == {"a": (4, 2)}
    assert partial.offer(everything) == {"b": (5, 1)}
    assert partial.offer(everything) is None


def test_of_a_stream_the_one_is_kept_of_which_there_is_most() -> None:
    partial = PartialTransfers()
    partial.keep([("a", Begun(head(1), 2)), ("a", Begun(head(2), 4)), ("a", Begun(head(3), 3))])
    assert partial.offer(everything) == {"a": (2, 4)}


def test_one_of_which_nothing_has_come_is_not_kept() -> None:
    assert not len(kept(a=(1, 0)))


def test_a_second_loss_forgets_what_did_not_go_on() -> None:
    partial = kept(a=(4, 2))
    partial.offer(everything)
    partial.keep([("b", Begun(head(9), 1))])
    assert partial.offer(everything) == {"b": (9, 1)}


def test_what_is_kept_over_a_session_that_did_not_even_ask_is_offered_again() -> None:
    partial = kept(a=(4, 2))
    begun = partial.take(head(4))
    partial.keep([("a", begun)])
    assert partial.offer(everything) == {"a": (4, 2)}


def test_it_goes_on_once() -> None:
    partial = kept(a=(4, 2))
    assert partial.take(head(4)).next_index == 2
    with pytest.raises(RequestRefused) as refused:
        partial.take(head(4))
    assert refused.value.code == Code.BROKEN_TRANSFER


@pytest.mark.parametrize(
    "other",
    [
        lambda: head(5),
        lambda: head(4, size=20_001),
        lambda: head(4, timestamp_ns=6),
        lambda: head(4, publisher=4),
        lambda: head(4, chunk_bytes=8192),
    ],
)
def test_another_message_does_not_go_on_where_it_was_cut(other: Callable[[], InboundFrame]) -> None:
    with pytest.raises(RequestRefused) as refused:
        kept(a=(4, 2)).take(other())
    assert refused.value.code == Code.BROKEN_TRANSFER


def test_what_is_forgotten_is_forgotten_of_one_stream() -> None:
    partial = kept(a=(4, 2), b=(5, 1))
    partial.forget("a")
    assert partial.offer(everything) == {"b": (5, 1)}
