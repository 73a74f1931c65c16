"""Tests what a notice says to people."""

import pytest

from gateway.client import Notice
from gateway.errors import Code
from gateway.protocol import messages


def test_it_is_what_the_gateway_said() -> None:
    told = messages.Notice("wf/tasks", 3, 4, Code.EXPIRED, "late", client_id="worker")
    assert Notice.of(told) == Notice("wf/tasks", 3, 4, Code.EXPIRED, "worker", "late")


@pytest.mark.parametrize(
    ("last", "client_id", "text"),
    [
        (3, "worker", "message 3 of wf/tasks did not get through to worker: late"),
        (4, None, "messages 3 to 4 of wf/tasks did not get through to a receiver: late"),
    ],
)
def test_it_says_what_did_not_reach_whom_and_why(last: int, client_id: str | None, text: str) -> None:
    assert str(Notice("wf/tasks", 3, last, Code.EXPIRED, client_id, "late")) == text
