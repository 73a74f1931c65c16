"""Head of a request: its end, found in bytes in any split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.messages import ClientType
from gateway.server.request_head import MAX_HEAD_BYTES, RequestHead

HEAD = b"GET / HTTP/1.1\r\nHost: \r\n\r X: y\n\r\nZ:\r\n\r\n"
REST = b"\x82\r\n\r\n rest"


@given(cuts=st.lists(st.integers(0, len(HEAD + REST)), max_size=8).map(sorted))
def test_the_end_is_found_in_any_split(cuts: list[int]) -> None:
    data = HEAD + REST
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    head, taken = RequestHead(), b""
    while not head.complete:
        piece = pieces.pop(0)
        taken += piece[: head.take(piece)]
    assert taken + REST == data
    assert head.size == len(taken)


def test_a_head_without_an_end_grows_too_large() -> None:
    head = RequestHead()
    assert head.take(bytes(MAX_HEAD_BYTES)) == MAX_HEAD_BYTES
    found = [head.too_large]
    assert head.take(b"x") == 1
    found.append(head.too_large)
    assert found == [False, True]
    assert not head.complete


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/?client_type=agent", ClientType.AGENT),
        (b"/x/y?client_type=admin_panel&a=b", ClientType.ADMIN_PANEL),
        (b"/?a=b&client_type=workflow", ClientType.WORKFLOW),
        (b"/", None),
        (b"/?my_client_type=agent", None),
        (b"/client_type=agent", None),
        (b"/?" + b"a" * 500 + b"&client_type=agent", None),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 2000])
def test_the_url_may_name_the_type_of_the_client(target: bytes, expected: ClientType | None, step: int) -> None:
    data = b"GET " + target + b" HTTP/1.1\r\nX: y?client_type=extension \r\n\r\n"
    head = RequestHead()
    for at in range(0, len(data), step):
        head.take(data[at : at + step])
    assert head.complete
    assert head.client_type is expected
    assert head.named_type == expected


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b"", ""),
        (b"king", "king"),
        (b"AGENT", "AGENT"),
        (b"admin%5Fpanel", "admin%5Fpanel"),
        (b"\xff", "\xff"),
        (b"agent&client_type=agnet", "agnet"),
    ],
)
@pytest.mark.parametrize("rest", [b" HTTP/1.1\r\n\r\n", b"&a=b HTTP/1.1\r\n\r\n", b"#f HTTP/1.1\r\n\r\n"])
def test_a_type_that_there_is_not_is_told_from_none(value: bytes, named: str, rest: bytes) -> None:
    head = RequestHead()
    head.take(b"GET /?client_type=" + value + rest)
    assert (head.client_type, head.named_type) == (None, named)
