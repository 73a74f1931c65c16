"""Opening of a session: connect, send HELLO, and raise errors that give advice."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

from gateway import __version__
from gateway.client.options import Options, Token
from gateway.client.session.handshake_refusal import SessionRefused
from gateway.client.session.introduction import Introduction
from gateway.client.session.reconnect import is_cancelled
from gateway.client.session.session import Session, SessionEvents
from gateway.client.session.socket import Socket
from gateway.client.session.socket_opening import open_socket, parse_url, with_client_type
from gateway.client.time_limit import TimeLimit
from gateway.errors import ConnectionClosed, ConnectionFailed, RequestTimeout
from gateway.ids import ClientId
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.messages import ClientType, Hello
from gateway.protocol.negotiation import PATCH
from gateway.protocol.wire import VERSION


async def open_session(options: Options, introduction: Introduction, events: SessionEvents) -> Session:
    """Connect once and return the session.

    Args:
        options: URL, token and limits.
        introduction: of the client.
        events: called by the session from now on.

    Raises:
        InvalidArgument: the URL is not one of a gateway.
        ConnectionClosed: the gateway refused, and would refuse again: wrong token, no common version, a bad name.
        ConnectionFailed: no server answers, the server is no gateway, or the gateway refuses for now. The message names
            the URL and gives advice.
    """
    uri = with_client_type(parse_url(options.url), options.client_type)
    hello = Hello(
        versions=(VERSION,),
        client_type=ClientType(options.client_type),
        client_id=None if introduction.client_id is None else ClientId(introduction.client_id),
        token=await _fetch(options.token, options.connect_timeout_s),
        agent=f"frys-python/{__version__}",
        codecs=tuple(CODEC_NAMES),
        filters=(*FILTER_NAMES, PATCH),
        max_message_bytes=options.limits.max_message_bytes,
        instance=introduction.instance,
        generation=introduction.generation,
        credits=options.credit_all_kinds or None,
        chunk_advice=True,
    )
    session = Session(events)
    socket: Socket | None = None
    try:
        with TimeLimit(options.connect_timeout_s):
            socket = await open_socket(uri, session, max_frame_bytes=options.limits.max_frame_bytes, tls=options.tls)
            await session.greet(socket, hello)
    except TimeoutError:
        await _give_up(socket)
        raise RequestTimeout(
            f"no answer from {options.url} within {options.connect_timeout_s} s: is a gateway running there?"
        ) from None
    except ConnectionClosed:
        raise
    except SessionRefused as error:
        problem = f"cannot connect to {options.url}: {error}"
        raise SessionRefused(error.code, problem, error.retry_after_s) from error
    except ConnectionFailed as error:
        await _give_up(socket)
        if error.__cause__ is not None:
            error.__cause__.__traceback__ = None  # of asyncio: it tells a user of the SDK nothing
        raise ConnectionFailed(f"cannot connect to {options.url}: {error}") from error.__cause__
    except BaseException:
        await _give_up(socket)
        raise
    return session


async def _give_up(socket: Socket | None) -> None:
    if socket is not None:
        await socket.wait_closed(0)


async def _fetch(token: Token, timeout_s: float) -> str | None:
    """Return the token for this attempt, from the application's function if there is one."""
    if not callable(token):
        return token
    try:
        with TimeLimit(timeout_s):
            fetched = await _made_by(token)
    except TimeoutError:
        raise RequestTimeout(f"the token could not be fetched: the function took longer than {timeout_s:g} s") from None
    if not (fetched is None or isinstance(fetched, str)):
        problem = f"the function gave a {type(fetched).__name__}, not a string"
        raise ConnectionFailed(f"the token could not be fetched: {problem}")
    try:
        (fetched or "").encode()
    except UnicodeEncodeError:
        problem = "the function gave a string that is not valid Unicode"
        raise ConnectionFailed(f"the token could not be fetched: {problem}") from None
    return fetched


async def _made_by(source: Callable[[], object]) -> object:
    """Call the application's function for a token, plain or ``async``: any error is a failed attempt."""
    try:
        made = source()
        return await made if inspect.isawaitable(made) else made
    except (Exception, asyncio.CancelledError) as error:
        if is_cancelled(error):
            raise
        raise ConnectionFailed(f"the token could not be fetched: {type(error).__name__}: {error}") from error
