"""Head of a request: its end, found in bytes in any split."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
