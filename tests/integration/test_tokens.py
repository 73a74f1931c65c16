"""Clients of a gateway that asks for tokens: from the SDK over a socket to the authorizer, and back with the remedy."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect as websocket
from websockets.typing import Subprotocol

from gateway.app import Gateway
from gateway.client import connect
from gateway.client.options import Options
from gateway.client.sync import connect as connect_blocking
from gateway.config import Settings
from gateway.errors import Code, ConnectionClosed, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.messages import Authenticate, ClientType, Hello
from gateway.protocol.session_body import write_session
from gateway.security.settings import SecuritySettings
from gateway.testing import running_gateway
from tests.security.tokens import Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "keys.json")


@pytest.fixture
async def gateway(issuer: Issuer) -> AsyncIterator[Gateway]:
    security = SecuritySettings(keys=issuer.settings.keys, leeway_s=0.0)
    async with running_gateway(Settings(admin_port=None, drain_deadline_s=2.0, security=security)) as gateway:
        yield gateway


def token_of(issuer: Issuer, subject: str = "trainer", ttl_s: float = 60, **claims: object) -> str:
    return issuer.token(subject, unix_s=time.time(), ttl_s=ttl_s, **claims)


async def test_who_has_a_token_comes_in_as_its_subject(gateway: Gateway, issuer: Issuer) -> None:
    async with connect(gateway.url, client_id="trainer", token=token_of(issuer)) as client:
        assert client.client_id == "trainer"
        assert (await client.publish("wf/a", np.ones(3))).offset == 0
    async with connect(gateway.url, token=token_of(issuer)) as client:
        assert client.client_id.startswith("trainer--")


async def test_who_has_none_is_told_the_remedy(gateway: Gateway, issuer: Issuer) -> None:
    with pytest.raises(ConnectionClosed, match="asks for a token: connect with one") as caught:
        await connect(gateway.url)
    assert caught.value.code == Code.UNAUTHENTICATED
    token = token_of(issuer, ttl_s=-60)
    with pytest.raises(ConnectionClosed, match="it expired") as caught:
        await connect(gateway.url, token=token)
    assert token not in str(caught.value)


async def test_another_subject_does_not_take_a_client_over(gateway: Gateway, issuer: Issuer) -> None:
    async with connect(gateway.url, client_id="trainer", token=token_of(issuer)) as client:
        with pytest.raises(ConnectionClosed, match="the token is that of thief, and client_id is trainer"):
            await connect(gateway.url, client_id="trainer", token=token_of(issuer, "thief"))
        with pytest.raises(ConnectionClosed, match="not for admin_panel"):
            await connect(gateway.url, client_type="admin_panel", token=token_of(issuer, "thief"))
        assert (await client.publish("wf/a", np.ones(3))).offset == 0


async def test_a_client_goes_on_behind_an_expired_token_without_losing_a_message(
    gateway: Gateway, issuer: Issuer
) -> None:
    made = list[str]()

    async def fresh() -> str:
        made.append(token_of(issuer, "reader", ttl_s=3 if not made else 60))
        return made[-1]

    async with (
        connect(gateway.url, client_id="writer", token=token_of(issuer, "writer")) as writer,
        connect(gateway.url, client_id="reader", token=fresh) as reader,
        reader.subscribe("wf/events", since="beginning") as messages,
    ):
        sent = 0
        while len(made) < 2 or sent < 20:
            await writer.publish("wf/events", np.array([sent]), kind="event")
            sent += 1
            await asyncio.sleep(0.02)  # so that some are published while the reader is away
        received = [int((await anext(messages)).tensor[0]) for _ in range(sent)]
    assert received == list(range(sent))
    assert gateway.core.access.expired == 1


async def test_a_token_is_replaced_in_time(gateway: Gateway, issuer: Issuer) -> None:
    async with connect(gateway.url, client_id="trainer", token=token_of(issuer, ttl_s=30)) as client:
        expires_s = await client.authenticate(token_of(issuer, ttl_s=60))
        assert expires_s is not None
        assert 50 < expires_s <= 61
        with pytest.raises(RequestRefused, match="that of planner, and client_id is trainer") as caught:
            await client.authenticate(token_of(issuer, "planner"))
        assert caught.value.code == Code.FORBIDDEN
        assert (await client.publish("wf/a", np.ones(3))).offset == 0


async def test_a_token_that_expires_and_cannot_be_refreshed_ends_the_client(gateway: Gateway, issuer: Issuer) -> None:
    async with connect(gateway.url, token=token_of(issuer, ttl_s=3)) as client, client.subscribe("wf/a") as messages:
        with pytest.raises(ConnectionClosed) as caught:
            await anext(messages)
    assert caught.value.code == Code.TOKEN_EXPIRED


async def test_a_blocking_client_brings_its_token(gateway: Gateway, issuer: Issuer) -> None:
    def publish() -> int:
        with connect_blocking(gateway.url, client_id="trainer", token=token_of(issuer)) as client:
            return client.publish("wf/a", np.ones(3)).offset

    assert await asyncio.to_thread(publish) == 0


async def test_a_client_does_what_its_grants_permit_and_is_refused_the_rest(gateway: Gateway, issuer: Issuer) -> None:
    grants = {"publish": ["wf/*"], "subscribe": ["wf/**"], "history": ["wf/events"], "request": ["agent:planner"]}
    async with connect(gateway.url, client_id="trainer", token=token_of(issuer, grants=grants)) as client:
        assert (await client.publish("wf/a", np.ones(3))).offset == 0
        async with client.subscribe("wf/**") as messages:
            assert (await anext(messages)).stream == "wf/a"
        async with client.subscribe("wf/events", since="beginning"), client.inbox():
            pass
        refusals = (
            (lambda: client.publish("other/a", np.ones(3)), "publish to other/a"),
            (lambda: client.publish("wf/b/c", np.ones(3)), "publish to wf/b/c"),
            (lambda: client.subscribe("**").__aenter__(), r"subscribe to \*\*"),
            (lambda: client.subscribe("*/a").__aenter__(), r"subscribe to \*/a"),
            (lambda: client.subscribe("wf/a", since="beginning").__aenter__(), "read the past of wf/a"),
            (lambda: client.request("agent:boss", np.ones(3)), "ask agent:boss"),
            (lambda: client.delete("wf/a"), "delete wf/a"),
            (lambda: client.presence("other").__aenter__(), "attend other"),
        )
        for ask, words in refusals:
            with pytest.raises(RequestRefused, match=f"agent trainer may not {words}") as caught:
                await ask()
            assert caught.value.code == Code.FORBIDDEN
        assert (await client.publish("wf/a", np.ones(3))).offset == 1


async def test_a_client_is_closed_when_its_token_is_revoked_and_goes_on_with_another(
    issuer: Issuer, tmp_path: Path
) -> None:
    revoked, made, again = tmp_path / "revoked.jsonl", list[str](), asyncio.Event()
    revoked.write_text("")

    def fresh() -> str:
        made.append(token_of(issuer, "reader", jti=f"token-{len(made)}"))
        if len(made) == 2:
            again.set()
        return made[-1]

    settings = replace(issuer.settings, revoked=str(revoked))
    async with (
        running_gateway(Settings(admin_port=None, drain_deadline_s=2.0, security=settings)) as gateway,
        connect(gateway.url, client_id="writer", token=token_of(issuer, "writer")) as writer,
        connect(gateway.url, client_id="reader", token=fresh) as reader,
        reader.subscribe("wf/events", since="beginning") as messages,
    ):
        await writer.publish("wf/events", np.array([0]), kind="event")
        assert (await anext(messages)).offset == 0
        revoked.write_text('{"jti": "token-0"}\n')
        await again.wait()
        await writer.publish("wf/events", np.array([1]))
        assert (await anext(messages)).offset == 1
        assert gateway.core.access.revoked == 1
        with pytest.raises(ConnectionClosed, match="it was revoked"):
            await connect(gateway.url, token=made[0])


@pytest.mark.parametrize("subprotocol", ["frys.v1", "frys.v1.json"])
async def test_a_token_may_come_with_the_handshake(gateway: Gateway, issuer: Issuer, subprotocol: str) -> None:
    bearer = {"Authorization": f"Bearer {token_of(issuer)}"}
    asked = {"Authorization": f"Bearer {token_of(issuer, 'other')}"}
    for headers, own, code in ((bearer, None, None), (asked, token_of(issuer), None), ({}, None, Code.UNAUTHENTICATED)):
        hello = Hello((1,), ClientType.AGENT, ClientId("trainer"), token=own)
        async with websocket(gateway.url, subprotocols=[Subprotocol(subprotocol)], additional_headers=headers) as peer:
            await peer.send(write_session(hello) if subprotocol == "frys.v1" else text_of(hello))
            answer = str(await peer.recv())
            assert ("UNAUTHENTICATED" in answer) == (code is not None), answer
            if code is not None:
                await peer.wait_closed()
                assert peer.close_code == code


@pytest.mark.parametrize("query", ["token={}", "access_token={}", "client_type=agent&token={}"])
async def test_a_token_in_the_url_is_none(gateway: Gateway, issuer: Issuer, query: str) -> None:
    with pytest.raises(ConnectionClosed, match="asks for a token"):
        await connect(f"{gateway.url}/?{query.format(token_of(issuer))}")


def text_of(hello: Hello) -> str:
    """Return a HELLO of the JSON subprotocol."""
    payload = {"versions": [1], "client_type": hello.client_type, "client_id": hello.client_id, "token": hello.token}
    return json.dumps({"message_type": "hello", "payload": payload})


def test_a_token_is_not_in_the_text_of_what_carries_it() -> None:
    options = Options("ws://127.0.0.1:1", token="the secret")
    hello = Hello((1,), ClientType.AGENT, token="the secret")
    assert "secret" not in f"{options!r} {hello!r} {Authenticate(1, 'the secret')!r}"
