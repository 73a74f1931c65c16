"""Connecting: from a URL to a client (``spec/client.md`` section 3)."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Unpack

from gateway.client.client import Client
from gateway.client.options import ConnectKeywords, Options
from gateway.errors import UsageError

_HOW: Final = (
    "use `client = await connect(...)` or `async with connect(...) as client`; without asyncio, use the connect of "
    "gateway.client.sync"
)


class NotConnected(UsageError, AttributeError):
    """Use of the result of ``connect`` as a client before it has connected."""


class Connecting:
    """A connection to be made by :func:`connect`: await it for a client, or use it with ``async with``."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connect().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._connect()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.__aexit__(kind, error, trace)

    if not TYPE_CHECKING:  # for type checkers it has no such attributes

        def __getattr__(self, name: str) -> NoReturn:
            if hasattr(Client, name) and not name.startswith("_"):
                raise NotConnected(f"connect() has not connected yet, so it has no {name}: {_HOW}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def __enter__(self) -> NoReturn:
            raise NotConnected(f"gateway.client is for asyncio: {_HOW}")

        def __exit__(self, *error: object) -> None:
            """Do nothing: Python asks for this method before it enters."""

    async def _connect(self) -> Client:
        return await Client(self._options).open()


def connect(url: str, **settings: Unpack[ConnectKeywords]) -> Connecting:
    """Connect to a gateway: ``async with connect("ws://127.0.0.1:8765") as client``, or ``await connect(...)``.

    One attempt is made; a connection that is lost later is opened again automatically (``spec/client.md`` section 3).

    Args:
        url: ``ws://host:port``, or ``wss://`` for TLS.
        settings: see :class:`gateway.client.options.Options`, which has the defaults.

    Raises, on awaiting or entering:
        InvalidArgument: a URL or setting that cannot be used.
        ConnectionClosed: the gateway refused, and would again: a wrong token, a bad name, no version in common.
        ConnectionFailed: nothing answers, or no gateway does; the text says what to check.
    """
    return Connecting(Options.of(url, settings))
