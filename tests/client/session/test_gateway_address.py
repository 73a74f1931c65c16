"""Gateway address: whereto the next attempt goes, and which addresses a client does not follow."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.client.options import Options
from gateway.client.session import gateway_address as module
from gateway.client.session.gateway_address import GatewayAddress
from gateway.client.session.introduction import Introduction
from gateway.client.session.session import Session, SessionEvents
from gateway.errors import Code, ConnectionClosed, ConnectionFailed

HOME = "wss://home:8765"
AWAY = "wss://away:8765"


class Attempts:
    """Attempts to connect, with the outcomes that a test gives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.urls: list[str] = []
        self._outcome: BaseException | None = None
        monkeypatch.setattr(module, "open_session", self._open)

    def make(self, address: GatewayAddress, outcome: BaseException | None) -> BaseException | None:
        """Make one; what it raises."""
        self._outcome = outcome
        try:
            asyncio.run(address.open(Options(HOME), Introduction(None), None))  # type: ignore[arg-type]
        except (ConnectionClosed, ConnectionFailed) as error:
            return error
        return None

    async def _open(self, options: Options, introduction: Introduction, events: SessionEvents) -> Session:
        self.urls.append(options.url)
        if self._outcome is not None:
            raise self._outcome
        return object.__new__(Session)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Attempts:
    return Attempts(monkeypatch)


def test_without_an_address_every_attempt_goes_home(attempts: Attempts) -> None:
    address = GatewayAddress(HOME)
    address.follow(None)
    for outcome in (None, ConnectionFailed("no answer"), ConnectionClosed(Code.FORBIDDEN, "no"), None):
        assert attempts.make(address, outcome) is outcome
    assert set(attempts.urls) == {HOME}


def test_attempts_that_fail_take_turns_and_one_that_succeeds_stays(attempts: Attempts) -> None:
    address = GatewayAddress(HOME)
    address.follow(AWAY)
    failed = ConnectionFailed("no answer")
    for outcome in (failed, failed, failed, failed, None, None, failed, None, None):
        assert attempts.make(address, outcome) is outcome
    assert attempts.urls == [AWAY, HOME, AWAY, HOME, AWAY, AWAY, AWAY, HOME, HOME]


def test_an_address_that_refuses_for_ever_is_forgotten(attempts: Attempts) -> None:
    address = GatewayAddress(HOME)
    address.follow(AWAY)
    refused = attempts.make(address, ConnectionClosed(Code.FORBIDDEN, "no"))
    assert isinstance(refused, ConnectionFailed), "the next attempt may succeed"
    assert AWAY in str(refused)
    for outcome in (ConnectionFailed("no answer"), None):
        attempts.make(address, outcome)
    assert attempts.urls == [AWAY, HOME, HOME]


@pytest.mark.parametrize("at_home", [True, False])
def test_a_gateway_that_has_had_the_client_may_end_it(attempts: Attempts, at_home: bool) -> None:
    address = GatewayAddress(HOME)
    address.follow(AWAY)
    if at_home:
        attempts.make(address, ConnectionFailed("no answer"))
    else:
        assert attempts.make(address, None) is None
    superseded = ConnectionClosed(Code.SUPERSEDED, "another program")
    assert attempts.make(address, superseded) is superseded


@pytest.mark.parametrize(
    ("home", "address", "goes"),
    [
        (HOME, AWAY, True),
        (HOME, "ws://away:8765", False),
        ("ws://home", "wss://away", True),
        ("ws://home", "ws://away", True),
        (HOME, "https://away", False),
        (HOME, "away", False),
        (HOME, "", False),
    ],
)
def test_a_client_goes_to_no_address_that_is_less_secure_or_none(
    caplog: pytest.LogCaptureFixture, home: str, address: str, goes: bool
) -> None:
    own = GatewayAddress(home)
    with caplog.at_level(logging.WARNING, "gateway.client"):
        own.follow(address)
    assert own.url == (address if goes else home)
    assert bool(caplog.records) is not goes


def test_the_way_home_is_no_second_address(attempts: Attempts) -> None:
    address = GatewayAddress(HOME)
    address.follow(AWAY)
    address.follow(HOME)
    for outcome in (ConnectionFailed("no answer"), None):
        attempts.make(address, outcome)
    assert attempts.urls == [HOME, HOME]
