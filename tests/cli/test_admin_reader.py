"""The reader of the admin port, against servers of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import click
import pytest

from gateway.cli import admin_reader
from gateway.cli.admin_reader import AdminReader
from gateway.cli.exit_code import CommandFailed, ExitCode
from tests.free_ports import free_port

HEAD = b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n"


@asynccontextmanager
async def answering(answer: bytes, *, stalls: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server with one answer for all; it tells what it was asked."""
    asked: list[bytes] = []
    done = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        if stalls:
            await done.wait()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}", asked
    finally:
        done.set()
        server.close()
        await server.wait_closed()


async def failure(url: str) -> CommandFailed:
    with pytest.raises(CommandFailed) as caught:
        await AdminReader(url).read("/api")
    return caught.value


async def test_json_in_any_number_of_pieces() -> None:
    async with answering(HEAD + b'{"a": [' + b"1," * 100_000 + b"1]}") as (url, asked):
        assert await AdminReader(url).read("/api?x=1") == {"a": [1] * 100_001}
        assert asked == [f"GET /api?x=1 HTTP/1.0\r\nHost: {url[7:]}\r\n\r\n".encode()]


async def test_a_path_of_the_url_goes_before_all_others() -> None:
    async with answering(HEAD + b"1") as (url, asked):
        assert await AdminReader(f"{url}/gateways/one/").read("/api") == 1
        assert asked[0].startswith(b"GET /gateways/one/api ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n{}", "/api: the answer is 404 Not Found"),
        (b"HTTP/1.1 301 \r\nlocation: /x\r\n\r\n", "the answer is 301"),
        (b"HTTP/1.1 403 \x1b[2J\xff\r\n\r\n", "the answer is 403"),
        (b"HTTP/1.1 426 Upgrade\r\nContent-Type: text/plain\r\n\r\nOther\nport.\n", "is 426 Upgrade: Other port"),
        (b"HTTP/1.1 426 Upgrade\r\nContent-Type: text/plain\r\n\r\n\x1b[2J", "the answer is 426 Upgrade"),
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP"),
        (b"\r\n", "no HTTP"),
        (HEAD, "no JSON"),
        (HEAD + b"{", "no JSON"),
        (HEAD + b"\xff", "no JSON"),
        (HEAD + b"[" * 100_000, "no JSON"),
    ],
)
async def test_an_answer_that_is_of_no_use(answer: bytes, words: str) -> None:
    async with answering(answer) as (url, _):
        error = await failure(url)
    assert (error.code, words in str(error)) == (ExitCode.REFUSED, True)
    assert len(str(error)) < 200


async def test_nobody_there() -> None:
    error = await failure(f"http://127.0.0.1:{free_port()}")
    assert error.code is ExitCode.CANNOT_CONNECT
    assert "Connection refused" in str(error)


async def test_a_connection_that_ends_before_the_answer() -> None:
    async with answering(b"") as (url, _):
        error = await failure(url)
    assert error.code is ExitCode.CANNOT_CONNECT
    assert "without an answer" in str(error)


async def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_reader, "TIME_LIMIT_S", 0.01)
    async with answering(HEAD, stalls=True) as (url, _):
        error = await failure(url)
    assert (error.code, "no answer within 0.01 s" in str(error)) == (ExitCode.CANNOT_CONNECT, True)


async def test_an_answer_that_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_reader, "MAX_ANSWER_BYTES", 1000)
    async with answering(HEAD + bytes(5000)) as (url, _):
        assert "more than 1000 bytes" in str(await failure(url))


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8766", "ws://127.0.0.1:8766", "http://", "http://h:x", "http://h:99999", "http://h/\n", "http://h?a=1"],
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(click.BadParameter):
        AdminReader(url)


@pytest.mark.parametrize("make", [str, lambda url: url.replace("http", "https")])
def test_urls(make: Callable[[str], str]) -> None:
    assert AdminReader(make("http://user:secret@[::1]/a")).url == make("http://user:secret@[::1]/a")


async def test_a_token_is_shown_to_the_gateway() -> None:
    async with answering(HEAD + b"1") as (url, asked):
        await AdminReader(url, "a.b.c").read("/api")
        assert b"\r\nAuthorization: Bearer a.b.c\r\n\r\n" in asked[0]


@pytest.mark.parametrize("token", ["a\r\nHost: other", "a b", "\u00e4"])
def test_a_token_cannot_bring_further_fields(token: str) -> None:
    with pytest.raises(click.BadParameter, match="characters that no token has"):
        AdminReader("http://127.0.0.1:1", token)
