"""View fit: streams that can have a view, the size of it, and the view that a subscription is to get."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.sessions.session import ViewSubscription
from gateway.connections.viewing.view_fit import as_declared, check_kind, size_of, view_now
from gateway.errors import Code, RequestRefused
from gateway.ids import StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.names import compile_pattern
from gateway.protocol.views import View
from gateway.streams.stream import Stream
from tests.connections.memory import World

COARSE = View(np.s_[::4, ::4])


def stream_of(world: World, name: str, kind: Kind) -> Stream:
    """A stream with one version of 8 x 8 numbers."""
    world.publisher(name, kind=kind).publish_array(0, np.zeros((8, 8), np.float32))
    world.settle()
    stream = world.core.streams.get(StreamName(name))
    assert stream is not None
    return stream


@pytest.mark.parametrize(
    ("kind", "view", "fits"),
    [
        (Kind.STATE, View(max_rate_hz=2.0), True),
        (Kind.EVENT, COARSE, True),
        (Kind.EVENT, View(max_rate_hz=2.0), False),
        (Kind.COLLABORATION, COARSE, False),
        (Kind.CONTROL, COARSE, False),
    ],
)
def test_kinds_have_views_of_their_own(kind: Kind, view: View, fits: bool) -> None:
    stream = stream_of(World(), "wf/x", kind)
    if fits:
        check_kind(view, stream)
        return
    with pytest.raises(RequestRefused, match=f"view .* of wf/x, a stream of kind {kind.value}") as caught:
        check_kind(view, stream)
    assert caught.value.code is Code.INVALID_VIEW


def test_the_size_follows_from_descriptors() -> None:
    newest = stream_of(World(), "wf/x", Kind.STATE).newest
    assert size_of(View(), newest) == 256
    assert size_of(View(np.s_[::4, ::4], "float16"), newest) == 8
    assert size_of(View(np.s_[0, 0, 0]), newest) == 0
    assert size_of(View(), None) == 0


def test_a_lower_view_is_the_one_that_comes_while_it_is_in_force_and_fits() -> None:
    stream = stream_of(World(), "wf/x", Kind.STATE)
    wanted = ViewSubscription(compile_pattern("wf/x"), View(), COARSE)
    assert view_now(wanted, stream, stream.newest) == View()
    wanted.lowered = True
    assert view_now(wanted, stream, stream.newest) == COARSE
    assert view_now(wanted, stream, None) == COARSE
    wanted.lower = View(np.s_[0, 0, 0])
    assert view_now(wanted, stream, stream.newest) == View()
    wanted.lower = None
    assert view_now(wanted, stream, stream.newest) == View()


def test_a_view_of_a_stream_without_a_schema_stays_as_it_is_spelled() -> None:
    stream = stream_of(World(), "wf/x", Kind.STATE)
    assert as_declared(View(np.s_[0:8]), stream) == View(np.s_[0:8])
