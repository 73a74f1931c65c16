"""Blocking methods made from the async ones: the same parameters, defaults and types, and the same documentation."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from gateway.client.sending.content import with_arrays
from gateway.client.sync.loop_thread import LoopThread

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
B = TypeVar("B")

WORDS: Final = {"async with": "with", "async for": "for", "await ": ""}
"""Words in the documentation of an async method, and their replacements for the blocking twin."""


class Face(Protocol[S_co]):
    """A blocking object: the thread whose loop it works on, and the async object that does the work there."""

    @property
    def _thread(self) -> LoopThread: ...

    @property
    def _source(self) -> S_co: ...


def blocking(method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Face[S], P], T]:
    """Return a method that runs the async ``method`` of the source on the loop, and waits for its result.

    The caller's thread makes an array of a ``value``, not the loop, which others wait for.
    """
    return blocking_for(method, lambda result: result)


def blocking_for(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]], twin: Callable[[T], B]
) -> Callable[Concatenate[Face[S], P], B]:
    """Return a method as :func:`blocking` does, which returns the blocking ``twin`` of the result."""
    prepared = _making_arrays(method)

    @functools.wraps(method)
    def call(self: Face[S], /, *args: P.args, **kwargs: P.kwargs) -> B:
        return twin(self._thread.run(prepared(self._source, *args, **kwargs)))

    call.__doc__ = _without_async(method.__doc__)
    return call


def closing(method: Callable[Concatenate[S, P], Coroutine[Any, Any, None]]) -> Callable[Concatenate[Face[S], P], None]:
    """Return a method that closes the source as :func:`blocking` does, unless the client is closed already.

    In a forked process it does nothing: the connection is that of the parent.
    """

    @functools.wraps(method)
    def call(self: Face[S], /, *args: P.args, **kwargs: P.kwargs) -> None:
        thread = self._thread
        if thread.forked or not thread.alive:
            return
        thread.run_unless_closed(method(self._source, *args, **kwargs), lambda error: None)

    call.__doc__ = _without_async(method.__doc__)
    return call


def wrapping(
    method: Callable[Concatenate[S, P], T], twin: Callable[[LoopThread, T], B]
) -> Callable[Concatenate[Face[S], P], B]:
    """Return a method that calls the plain ``method`` of the source, and returns the blocking twin of its result.

    Args:
        method: it is called on the caller's thread, so it must not touch the loop.
        twin: class of the blocking twin.
    """
    prepared = _making_arrays(method)

    @functools.wraps(method)
    def call(self: Face[S], /, *args: P.args, **kwargs: P.kwargs) -> B:
        self._thread.check()
        return twin(self._thread, prepared(self._source, *args, **kwargs))

    call.__doc__ = _without_async(method.__doc__)
    call.__annotations__ = {**method.__annotations__, "return": twin}
    call.__dict__["__signature__"] = inspect.signature(method).replace(return_annotation=twin)
    return call


def _making_arrays(method: Callable[P, T]) -> Callable[P, T]:
    """Return ``method``; if it has a parameter ``value``, one that first makes an array of the value."""
    parameters = list(inspect.signature(method).parameters)
    if "value" not in parameters:
        return method
    at = parameters.index("value")

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        given: list[Any] = list(args)
        if at < len(given):
            given[at] = with_arrays(given[at])
        elif "value" in kwargs:
            kwargs["value"] = with_arrays(kwargs["value"])
        return method(*given, **kwargs)

    return call


def _without_async(doc: str | None) -> str | None:
    if doc is not None:
        for word, instead in WORDS.items():
            doc = doc.replace(word, instead)
    return doc
