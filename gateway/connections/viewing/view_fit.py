"""View fit: whether there can be a view of a stream, and the size of its messages, from descriptors alone."""

from __future__ import annotations

from gateway.connections.sessions.session import ViewSubscription
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import TensorSpec, payload_layout
from gateway.protocol.views import View
from gateway.streams.history import Entry
from gateway.streams.state import specs_of
from gateway.streams.stream import Stream

VIEWABLE = frozenset({Kind.STATE, Kind.EVENT})
"""Kinds of streams that have views."""


def title_of(view: View, stream: Stream) -> str:
    """Return how errors name a view of a stream."""
    return f"view {view} of {stream.name}, a stream of kind {stream.kind.value}"


def check_kind(view: View, stream: Stream) -> None:
    """Check that streams of this kind have such views.

    Raises:
        RequestRefused: ``INVALID_VIEW``.
    """
    if stream.kind not in VIEWABLE:
        problem = "its messages are delivered complete or not at all"
    elif view.max_rate_hz is not None and stream.kind is not Kind.STATE:
        problem = "a rate leaves out messages, which only a state allows"
    else:
        return
    raise RequestRefused(Code.INVALID_VIEW, f"{title_of(view, stream)}: {problem}")


def size_of(view: View, newest: Entry | None) -> int:
    """Return the bytes of a view of the newest version of a stream; 0 if there is none, or the view does not fit it."""
    if newest is None:
        return 0
    try:
        return payload_layout(view.check_all(specs_of(newest)))[1]
    except RequestRefused:
        return 0


def as_declared(view: View, stream: Stream) -> View:
    """Return the view; of equal ones always the same, if the stream is declared to hold one tensor of one shape."""
    if stream.schema is None or len(stream.schema.tensors) != 1:
        return view
    (tensor,) = stream.schema.tensors
    shape = tuple([size for size in tensor.shape if size is not None])
    if len(shape) < len(tensor.shape):
        return view
    try:
        return view.canonical(TensorSpec(tensor.name, tensor.dtype, shape))
    except RequestRefused:
        return view  # it will not fit the messages either


def is_lower(wanted: ViewSubscription | None, view: View, stream: Stream) -> bool:
    """Return whether a subscription gets a view of a stream in place of the one that it asks for."""
    if wanted is None or wanted.lower is None:
        return False
    return as_declared(wanted.lower, stream) == view != as_declared(wanted.view, stream)


def view_now(wanted: ViewSubscription, stream: Stream, newest: Entry | None) -> View:
    """Return the view by which a subscription is to get a stream: a lower one that does not fit is passed over.

    Args:
        wanted: the subscription.
        stream: the stream.
        newest: its newest version, or the last one of its events, if it is known.
    """
    if wanted.lowered and wanted.lower is not None:
        try:
            check_kind(wanted.lower, stream)
            if newest is not None:
                wanted.lower.check_all(specs_of(newest))
        except RequestRefused:
            pass
        else:
            return as_declared(wanted.lower, stream)
    return as_declared(wanted.view, stream)
