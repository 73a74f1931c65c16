"""Tests when a client tries again, how long it waits, and when it gives up, with a clock that never runs."""

import asyncio
import logging

import pytest

from gateway.client.options import Backoff
from gateway.client.session.handshake_refusal import SessionRefused
from gateway.client.session.outage import Outage
from gateway.client.session.reconnect import Reconnector, may_reconnect
from gateway.client.session.session import Session
from gateway.client.session.socket import Lost
from gateway.errors import Action, Code, ConnectionClosed, ConnectionFailed, UsageError

BACKOFF = Backoff(base_s=1.0, cap_s=8.0, later_s=5.0)
NO_PAUSE = Backoff(base_s=0.0, cap_s=0.0, later_s=0.0)


@pytest.mark.parametrize(
    ("action", "fresh_token", "expected"),
    [
        (Action.RECONNECT, False, True),
        (Action.RECONNECT_LATER, False, True),
        (Action.DO_NOT_RECONNECT, True, False),
        (Action.REFRESH_TOKEN, False, False),
        (Action.REFRESH_TOKEN, True, True),
    ],
)
def test_the_action_decides_whether_to_try(action: Action, fresh_token: bool, expected: bool) -> None:
    assert may_reconnect(action, fresh_token=fresh_token) is expected


class Attempts:
    """Attempts to open a session, with the outcomes that a test gives."""

    def __init__(self, *outcomes: BaseException | None) -> None:
        self.outcomes = list(outcomes)
        self.session = object.__new__(Session)  # handed through, never used

    async def __call__(self) -> Session:
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome
        return self.session


def reconnector(attempts: Attempts, *, backoff: Backoff | None = NO_PAUSE, fresh_token: bool = False) -> Reconnector:
    """One that does not wait."""
    return Reconnector(backoff, Outage(), fresh_token=fresh_token, open_session=attempts)


def reopen(reconnector: Reconnector, code: int) -> Session:
    """What comes of a loss with this code."""
    return asyncio.run(reconnector.reopen(Lost(code, "because"), lived_s=10.0))


def test_it_tries_until_there_is_a_session() -> None:
    attempts = Attempts(ConnectionFailed("refused"), SessionRefused(Code.TOO_MANY_CONNECTIONS, "full"), None)
    assert reopen(reconnector(attempts), 1006) is attempts.session


def test_it_gives_up_when_a_later_refusal_is_final() -> None:
    attempts = Attempts(ConnectionFailed("refused"), ConnectionClosed(Code.UNSUPPORTED_VERSION, "old"))
    with pytest.raises(ConnectionClosed, match="old"):
        reopen(reconnector(attempts), 1001)


@pytest.mark.parametrize("code", [Code.MALFORMED_FRAME, Code.UNAUTHENTICATED, Code.FRAME_TOO_BIG])
def test_it_does_not_try_at_all_after_a_final_code(code: Code) -> None:
    with pytest.raises(ConnectionClosed) as caught:
        reopen(reconnector(Attempts()), code)
    assert caught.value.code == code


def test_with_a_fresh_token_it_tries_again() -> None:
    attempts = Attempts(ConnectionClosed(Code.UNAUTHENTICATED, "expired"), None)
    assert reopen(reconnector(attempts, fresh_token=True), Code.UNAUTHENTICATED) is attempts.session


def test_without_backoff_it_never_tries() -> None:
    with pytest.raises(ConnectionFailed, match="because"):
        reopen(reconnector(Attempts(), backoff=None), 1006)


def test_attempts_are_counted_over_short_lived_sessions_and_forgotten_after_a_stable_one() -> None:
    counting = reconnector(Attempts(None, None, None))

    async def lose(lived_s: float) -> int:
        await counting.reopen(Lost(1006, ""), lived_s)
        return counting.attempts

    assert asyncio.run(lose(0.1)) == 1
    assert asyncio.run(lose(0.1)) == 2
    assert asyncio.run(lose(6.0)) == 1


@pytest.mark.parametrize(
    "failure",
    [
        OSError("no route"),
        ValueError("not a URL"),
        MemoryError(),
        RuntimeError("a callback"),
        asyncio.CancelledError("of a callback"),
        UsageError("of a callback"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_an_attempt_raises_is_one_failed_attempt(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    attempts = Attempts(failure, None)
    outage = Outage()
    counting = Reconnector(NO_PAUSE, outage, fresh_token=False, open_session=attempts)
    assert reopen(counting, 1006) is attempts.session
    assert counting.attempts == 2
    assert str(outage).endswith(f": {str(failure) or repr(failure)}")
    assert "attempt 1 to reconnect" in caplog.text


async def test_cancelling_ends_it() -> None:
    begun = asyncio.Event()

    async def wait() -> Session:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    waiting = Reconnector(NO_PAUSE, Outage(), fresh_token=False, open_session=wait)
    task = asyncio.ensure_future(waiting.reopen(Lost(1006, ""), 0.0))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture
def slept_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times that were slept, in no time."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("gateway.client.session.reconnect.asyncio.sleep", sleep)
    return slept


def test_a_time_that_the_gateway_names_takes_the_place_of_the_pause(slept_s: list[float]) -> None:
    refused = SessionRefused(Code.TOO_MANY_CONNECTIONS, "full", 7.0)
    attempts = Attempts(refused, ConnectionFailed("no route"), None)
    patient = Reconnector(Backoff(), Outage(), fresh_token=False, open_session=attempts, draw=lambda: 0.5)
    asyncio.run(patient.reopen(Lost(Code.TOO_MANY_CONNECTIONS, "shed", 3.0), lived_s=10.0))
    assert slept_s == [3.125, 7.125, 0.5]


@pytest.mark.parametrize("backoff", [Backoff(), None])
def test_the_first_session_is_asked_for_again_when_the_gateway_says_so(
    backoff: Backoff | None, slept_s: list[float]
) -> None:
    at_once, later = (SessionRefused(Code.TOO_MANY_CONNECTIONS, "full", after_s) for after_s in (0.0, 2.0))
    attempts = Attempts(at_once, later, None)
    patient = Reconnector(backoff, Outage(), fresh_token=False, open_session=attempts, draw=lambda: 0.5)
    assert asyncio.run(patient.open(10.0)) is attempts.session
    assert slept_s == [0.125, 2.125], "who names no time is not asked without end"


@pytest.mark.parametrize("failure", [SessionRefused(4100, "full", 11.0), SessionRefused(4100, "full"), OSError("no")])
def test_the_first_session_fails_at_once_if_the_gateway_wants_no_attempt_in_time(
    failure: Exception, slept_s: list[float]
) -> None:
    with pytest.raises(type(failure), match=str(failure)):
        asyncio.run(reconnector(Attempts(failure)).open(10.0))
    assert not slept_s
