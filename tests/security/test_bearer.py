"""The head of a request brings one token, of the scheme that all clients of HTTP know."""

from __future__ import annotations

import pytest

from gateway.security.bearer import bearer_of


@pytest.mark.parametrize(
    ("fields", "token"),
    [
        (["Bearer abc"], "abc"),
        (["bearer  abc "], "abc"),
        (["Basic abc"], None),
        (["Bearer"], None),
        (["Bearer "], None),
        ([""], None),
        (["abc"], None),
        ([], None),
        (["Bearer abc", "Bearer def"], None),
    ],
)
def test_fields_of_authorization(fields: list[str], token: str | None) -> None:
    assert bearer_of(fields) == token
