"""Tests how much is granted again, and when."""

import pytest

from gateway.client.messages.credit_grants import CreditGrants
from gateway.errors import InvalidArgument
from gateway.protocol.frames import frame_at
from gateway.protocol.messages import Credits
from gateway.protocol.signals import Credit
from gateway.protocol.wire import Buffer


class Line:
    """Stands for a session: notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[Credit] = []

    def send(self, frames: tuple[Buffer, ...]) -> int:
        self.sent += [Credit.parse(frame, frame_at(frame, 0)) for frame in frames]
        return 0


def begun(window: Credits | None) -> tuple[CreditGrants, Line]:
    grants, line = CreditGrants(window), Line()
    grants.begin(line, 3)  # type: ignore[arg-type]
    return grants, line


def test_half_of_the_messages_or_of_the_bytes_are_granted_together() -> None:
    grants, line = begun(Credits(4, 100))
    grants.settle(line, 10)  # type: ignore[arg-type]
    assert line.sent == []
    grants.settle(line, 10)  # type: ignore[arg-type]
    assert line.sent == [Credit(3, 2, 20)]
    grants.settle(line, 50)  # type: ignore[arg-type]
    assert line.sent[1:] == [Credit(3, 1, 50)]


def test_what_came_on_an_earlier_session_or_without_credit_grants_nothing() -> None:
    grants, line = begun(Credits(1, 100))
    later = Line()
    grants.begin(later, 4)  # type: ignore[arg-type]
    grants.settle(line, 10)  # type: ignore[arg-type]
    grants.settle(None, 10)
    assert line.sent == later.sent == []


def test_without_a_window_the_gateway_knows() -> None:
    grants, line = begun(None)
    grants.settle(line, 10)  # type: ignore[arg-type]
    assert line.sent == []


@pytest.mark.parametrize("window", [Credits(0, 1), Credits(1, 0)])
def test_a_window_in_which_nothing_fits_is_refused(window: Credits) -> None:
    with pytest.raises(InvalidArgument, match="at least 1"):
        CreditGrants(window)
