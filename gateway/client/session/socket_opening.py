"""Opening of a socket: the addresses of a host, TCP, TLS, the handshake, and advice if one of them fails."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Callable
from dataclasses import replace
from socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror, getaddrinfo, inet_pton

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from gateway.client.session.socket import ABNORMAL, Lost, Socket, SocketEvents
from gateway.client.workers import WORKERS
from gateway.errors import ConnectionFailed, InvalidArgument


def parse_url(url: str) -> WebSocketURI:
    """Return the parts of the URL of a gateway.

    Raises:
        InvalidArgument: the URL is not ``ws://host[:port]`` or ``wss://host[:port]``.
    """
    try:
        return parse_uri(url)
    except (InvalidURI, ValueError) as error:
        reason = error.msg if isinstance(error, InvalidURI) else error  # the text of InvalidURI repeats the URL
        raise InvalidArgument(f"{url!r} is not a gateway's URL such as ws://127.0.0.1:8765 ({reason})") from None


def with_client_type(uri: WebSocketURI, client_type: str) -> WebSocketURI:
    """Return a URL that names the type of the client, so that a gateway knows it before the handshake."""
    others = [part for part in uri.query.split("&") if part and not part.startswith("client_type=")]
    return replace(uri, query="&".join([*others, f"client_type={client_type}"]))


async def open_socket(
    uri: WebSocketURI, events: SocketEvents, *, max_frame_bytes: int, tls: ssl.SSLContext | None
) -> Socket:
    """Connect, do the WebSocket handshake, and return the socket. Cancel the call to give up.

    Args:
        uri: address of the gateway.
        events: called from the moment the handshake is done.
        max_frame_bytes: bound on a message; a longer one closes the connection with 1009.
        tls: context for ``wss``; ``None``: the system's certificates.

    Raises:
        ConnectionFailed: no server listens, or the server is no gateway; the message gives advice.
    """
    socket: Socket | None = None
    try:
        context = (tls or ssl.create_default_context()) if uri.secure else None
        socket = await _connected(uri, context, lambda: Socket(uri, events, max_frame_bytes))
        await socket.opened()
    except (OSError, UnicodeError) as error:  # a host's name that no name server could be asked for is a UnicodeError
        raise error if isinstance(error, ConnectionFailed) else ConnectionFailed(_advice(error, uri.secure)) from error
    except BaseException:
        if socket is not None:
            socket.abort(Lost(ABNORMAL, "gave up"))
        raise
    return socket


async def _connected(uri: WebSocketURI, context: ssl.SSLContext | None, make: Callable[[], Socket]) -> Socket:
    """Connect to the first address of the host that answers."""
    loop = asyncio.get_running_loop()
    errors: list[OSError] = []
    for address in await _addresses_of(uri.host, uri.port):
        try:
            _, socket = await loop.create_connection(
                make, address, uri.port, ssl=context, server_hostname=uri.host if context else None
            )
        except OSError as error:
            errors.append(error)
        else:
            return socket
    if len(errors) == 1:
        raise errors[0]
    raise OSError("; ".join(map(str, errors)))


async def _addresses_of(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order in which they are tried."""
    for family in (AF_INET, AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            inet_pton(family, host)
            return [host]
    # Not `loop.getaddrinfo`: asyncio's threads take no work once the main thread has ended.
    found = await WORKERS.run(getaddrinfo, host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _advice(error: OSError | UnicodeError, secure: bool) -> str:
    """Return the meaning of a failed attempt to connect, and advice what to check."""
    if isinstance(error, UnicodeError):
        return f"the host's name cannot be resolved ({error})"
    text = error.strerror or str(error) or "the connection ended"
    # A name with several addresses gives one OSError that quotes the error of each.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return "connection refused: is the gateway running there (frys serve), and are host and port right?"
    if isinstance(error, gaierror):
        return f"the host's name cannot be resolved ({text})"
    if secure:
        return f"TLS failed ({text}): does the gateway serve wss there, and is its certificate trusted here?"
    return f"{text}: are host and port right, and is the way there open?"
