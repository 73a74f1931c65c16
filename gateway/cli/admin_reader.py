"""Reader of the admin port: one request for JSON at a time, which waits for no server for long."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from typing import Final
from urllib.parse import urlsplit

import click

from gateway.cli.exit_code import CommandFailed, ExitCode

TIME_LIMIT_S: Final = 5.0
"""Longest time of one request."""
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Size from which on an answer is refused: that of a gateway has a tenth of it."""
_PORTS: Final = {"http": 80, "https": 443}
_TOLD_CHARS: Final = 400
"""Most characters of a text for people that are told."""


class AdminReader:
    """Reader of the admin port of one gateway.

    Args:
        url: URL of the port, ``http://host:port``, or ``https://`` of a proxy before it; a path goes before all others.
        token: token of an admin panel; ``None``: the gateway asks for none.

    Attributes:
        url: that URL.

    Raises:
        BadParameter: it is no such URL, or no such token.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise click.BadParameter(f"{url!r} is no URL: {error}", param_hint="--admin") from None
        usable = url.isascii() and url.isprintable() and " " not in url and not (parts.query or parts.fragment)
        if not usable or parts.scheme not in _PORTS or not parts.hostname:
            raise click.BadParameter(f"{url!r} is not http://host:port", param_hint="--admin")
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise click.BadParameter("it has characters that no token has", param_hint="--token")
        self.url = url
        self._authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
        self._host = parts.hostname
        self._port = port or _PORTS[parts.scheme]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._named = parts.netloc.rpartition("@")[2]
        self._prefix = parts.path.rstrip("/")

    async def read(self, path: str) -> object:
        """Return the JSON value at a path of the port.

        Raises:
            CommandFailed: ``CANNOT_CONNECT``, nobody answers; ``REFUSED``, the answer is no JSON, or has
                another status than 200.
        """
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                answer = await self._exchange(path)
        except TimeoutError:
            raise CommandFailed(ExitCode.CANNOT_CONNECT, f"{self.url}: no answer within {TIME_LIMIT_S:g} s") from None
        except (OSError, EOFError) as error:
            number = getattr(error, "errno", None)
            problem = os.strerror(number) if number else str(error)
            raise CommandFailed(ExitCode.CANNOT_CONNECT, f"{self.url}: {problem}") from None
        head, _, body = answer.partition(b"\r\n\r\n")
        words = head.split(b"\r\n", 1)[0].split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or words[1] != b"200":
            status = b" ".join(words[1:])[:80].decode("ascii", "replace") or "no HTTP"
            raise CommandFailed(ExitCode.REFUSED, f"{self.url}{path}: the answer is {status}{_text_of(head, body)}")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise CommandFailed(ExitCode.REFUSED, f"{self.url}{path}: the answer is no JSON") from None

    async def _exchange(self, path: str) -> bytes:
        """Return the whole answer. HTTP/1.0 has none in chunks, and ends it with the connection."""
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        try:
            fields = f"Host: {self._named}\r\n{self._authorization}"
            writer.write(f"GET {self._prefix}{path} HTTP/1.0\r\n{fields}\r\n".encode())
            answer = bytearray()
            while piece := await reader.read(1 << 16):
                answer += piece
                if len(answer) > MAX_ANSWER_BYTES:
                    raise EOFError(f"the answer of {path} has more than {MAX_ANSWER_BYTES} bytes")
            if not answer:
                raise EOFError("the connection was closed without an answer")
            return bytes(answer)
        finally:
            writer.transport.abort()


def _text_of(head: bytes, body: bytes) -> str:
    """Return the text for people in an answer, in one line and behind a colon; empty: it has none."""
    if b"\r\ncontent-type: text/plain" not in head.lower():
        return ""
    words = " ".join(body[:_TOLD_CHARS].decode("ascii", "replace").split()).rstrip(".")
    return f": {words}" if words.isprintable() and words else ""
