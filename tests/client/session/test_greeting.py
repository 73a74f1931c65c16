"""Tests opening a session: what HELLO says, and that errors say what to check."""

import asyncio
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.client.options import Options, Token
from gateway.client.session.greeting import open_session
from gateway.client.session.handshake_refusal import SessionRefused
from gateway.client.session.introduction import Introduction
from gateway.client.session.session import Handlers, Session
from gateway.client.session.socket import Lost
from gateway.errors import Code, ConnectionClosed, ConnectionFailed, InvalidArgument, RequestTimeout, UsageError
from gateway.protocol.messages import Error, Hello
from gateway.protocol.wire import Opcode
from tests.client.scripted_gateway import ScriptedGateway


class Owner:
    """Takes what a session tells and does nothing with it."""

    def welcomed(self, session: Session) -> Handlers:
        return Handlers({}, None)

    def refused(self, error: Error) -> None: ...

    def reported(self, error: Exception) -> None: ...

    def beating(self) -> None: ...

    def probed(self) -> None: ...

    def writing_resumed(self) -> None: ...

    def session_lost(self, session: Session, lost: Lost) -> None: ...


async def hello_of(scripted: ScriptedGateway, options: Options, introduction: Introduction | None = None) -> Hello:
    """What the client says with these options."""
    introduction = introduction or Introduction(None)
    session = await open_session(options, introduction, Owner())
    hello = (await (await scripted.accept()).next(Opcode.HELLO)).session()
    session.close()
    await session.wait_closed(5)
    assert isinstance(hello, Hello)
    return hello


async def test_hello_tells_what_the_client_can_do(scripted: ScriptedGateway) -> None:
    introduction = Introduction("me")
    introduction.generation = 1_770_000_000_000_001
    hello = await hello_of(scripted, Options(scripted.url, client_type="workflow", token="secret"), introduction)
    assert (hello.client_type, hello.client_id, hello.token, hello.versions) == ("workflow", "me", "secret", (1,))
    assert {"lz4", "zstd", "snappy"} <= set(hello.codecs)
    assert hello.filters == ("shuffle", "xor", "diff8", "diff16", "diff32", "diff64", "patch")
    assert (hello.instance, hello.generation) == (introduction.instance, introduction.generation)
    assert hello.agent.startswith("frys-python/")
    assert hello.max_message_bytes == Options(scripted.url).limits.max_message_bytes


async def plain_source() -> str:
    return "from a coroutine"


@pytest.mark.parametrize(
    ("token", "expected"),
    [(None, None), (lambda: None, None), (lambda: "fresh", "fresh"), (plain_source, "from a coroutine")],
)
async def test_a_token_comes_from_wherever_it_is_said_to(
    scripted: ScriptedGateway, token: Token, expected: str | None
) -> None:
    assert (await hello_of(scripted, Options(scripted.url, token=token))).token == expected


@pytest.mark.parametrize("raised", [MemoryError, asyncio.CancelledError, UsageError])
async def test_whatever_a_token_function_raises_is_a_failed_attempt(
    scripted: ScriptedGateway, raised: type[BaseException]
) -> None:
    async def fail() -> str:
        raise raised

    with pytest.raises(ConnectionFailed, match=f"token could not be fetched: {raised.__name__}"):
        await open_session(Options(scripted.url, token=fail), Introduction(None), Owner())


async def test_a_token_that_is_no_string_is_a_failed_attempt(scripted: ScriptedGateway) -> None:
    wrong: Any = lambda: b"bytes"  # noqa: E731
    with pytest.raises(ConnectionFailed, match="gave a bytes, not a string"):
        await open_session(Options(scripted.url, token=wrong), Introduction(None), Owner())


async def test_a_token_that_is_no_unicode_is_a_failed_attempt(scripted: ScriptedGateway) -> None:
    with pytest.raises(ConnectionFailed, match="not valid Unicode") as failed:
        await open_session(Options(scripted.url, token=lambda: "secret\udc80"), Introduction(None), Owner())
    assert "secret" not in str(failed.value)


async def test_a_token_that_does_not_come_is_a_failed_attempt(scripted: ScriptedGateway) -> None:
    async def wait() -> str:
        await asyncio.Event().wait()
        return ""

    with pytest.raises(RequestTimeout, match=r"token .* longer than 0\.01 s"):
        await open_session(Options(scripted.url, token=wait, connect_timeout_s=0.01), Introduction(None), Owner())


async def test_a_cancelled_attempt_is_cancelled(scripted: ScriptedGateway) -> None:
    asked = asyncio.Event()

    async def wait() -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    opening = asyncio.ensure_future(open_session(Options(scripted.url, token=wait), Introduction(None), Owner()))
    await asked.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


class Broken(Owner):
    """Fails to use any session."""

    def welcomed(self, session: Session) -> Handlers:
        raise MemoryError


async def test_a_session_that_the_client_cannot_use_is_a_failed_attempt_and_its_socket_is_closed(
    scripted: ScriptedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConnectionFailed, match="could not be used: MemoryError"):
        await open_session(Options(scripted.url), Introduction(None), Broken())
    assert "the connection could not be used" in caplog.text
    await (await scripted.accept()).gone


async def test_a_token_that_cannot_be_fetched_is_a_failed_attempt(scripted: ScriptedGateway) -> None:
    def fail() -> str:
        raise KeyError("no vault")

    with pytest.raises(ConnectionFailed, match=r"token could not be fetched: .*no vault"):
        await open_session(Options(scripted.url, token=fail), Introduction(None), Owner())


async def test_a_real_gateway_welcomes(gateway: Gateway) -> None:
    session = await open_session(Options(gateway.url), Introduction(None), Owner())
    assert session.welcome.client_id
    session.close()
    await session.wait_closed(5)


async def test_a_name_that_is_none_is_refused_for_good(gateway: Gateway) -> None:
    with pytest.raises(ConnectionClosed) as caught:
        await open_session(Options(gateway.url), Introduction("not a name"), Owner())
    assert caught.value.code in (Code.BAD_HELLO, Code.INVALID_NAME)


async def test_nobody_there_names_the_url() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionFailed, match=f"cannot connect to {url}: .*frys serve"):
        await open_session(Options(url), Introduction(None), Owner())


@pytest.mark.parametrize("silent", ["no welcome", "no handshake"])
async def test_a_server_that_says_nothing_is_left(scripted: ScriptedGateway, silent: str) -> None:
    scripted.welcome = None
    if silent == "no handshake":
        scripted.handshake = lambda protocol, request: False  # type: ignore[method-assign]
    with pytest.raises(RequestTimeout, match=r"within 0\.05 s"):
        await open_session(Options(scripted.url, connect_timeout_s=0.05), Introduction(None), Owner())


async def test_a_refusal_for_now_keeps_its_code(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.HELLO] = lambda peer, received: peer.close(Code.TOO_MANY_CONNECTIONS, "full")
    with pytest.raises(SessionRefused, match=f"cannot connect to {scripted.url}: .*full") as caught:
        await open_session(Options(scripted.url), Introduction(None), Owner())
    assert caught.value.code == Code.TOO_MANY_CONNECTIONS


async def test_giving_up_leaves_nothing_behind(scripted: ScriptedGateway) -> None:
    scripted.welcome = None
    opening = asyncio.ensure_future(open_session(Options(scripted.url), Introduction(None), Owner()))
    peer = await scripted.accept()
    await peer.next(Opcode.HELLO)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await peer.gone


async def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="URL"):
        await open_session(Options("http://x"), Introduction(None), Owner())
