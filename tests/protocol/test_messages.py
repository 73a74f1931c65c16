"""The classes of session messages: what a refusal becomes on the wire."""

from __future__ import annotations

from gateway.errors import Code, RequestRefused
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.messages import Error


def test_the_error_of_a_refusal() -> None:
    refusal = RequestRefused(Code.KIND_MISMATCH, "stream a/b is state, not event")
    assert Error.of(refusal, alias=3, sequence=4) == Error(
        5203, "KIND_MISMATCH", "stream a/b is state, not event", alias=3, sequence=4
    )
    assert Error.of(BodyRefused(5211, "m", {"request": 1}), request=9).request == 9
