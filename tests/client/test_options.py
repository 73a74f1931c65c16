"""Tests that values that cannot work are refused where they are given."""

import pytest

from gateway.client.options import Backoff, Options
from gateway.errors import InvalidArgument


@pytest.mark.parametrize(
    "values", [{"base_s": -1.0}, {"base_s": 2.0, "cap_s": 1.0}, {"later_s": -0.1}, {"stable_s": -1.0}]
)
def test_pauses_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument):
        Backoff(**values)


def test_an_unknown_client_type_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidArgument, match=r"'robot'.*agent"):
        Options("ws://x", client_type="robot")


def test_limits_must_be_above_zero() -> None:
    with pytest.raises(InvalidArgument, match="connect_timeout_s"):
        Options("ws://x", connect_timeout_s=0)
    with pytest.raises(InvalidArgument, match="close_timeout_s"):
        Options("ws://x", close_timeout_s=-1)
    with pytest.raises(InvalidArgument, match="max_pending_bytes"):
        Options("ws://x", max_pending_bytes=0)
