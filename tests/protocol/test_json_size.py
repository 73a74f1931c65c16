"""JSON that is too large to be parsed in one step is refused before."""

from __future__ import annotations

import pytest

from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.protocol.json_size import MAX_BODY_BYTES, MAX_CONTAINERS, MAX_OPEN_BYTES, check_body, check_body_size
from gateway.protocol.wire import Opcode


@pytest.mark.parametrize(("opcode", "limit"), [(Opcode.SUBSCRIBE, MAX_BODY_BYTES), (Opcode.OPEN, MAX_OPEN_BYTES)])
def test_a_body_has_a_bounded_size(opcode: Opcode, limit: int) -> None:
    check_body_size(opcode, limit)
    with pytest.raises(RequestRefused, match=f"{limit + 1} bytes") as refused:
        check_body_size(opcode, limit + 1)
    assert refused.value.code == Code.MESSAGE_TOO_BIG


def test_a_large_body_has_a_bounded_number_of_lists_and_objects() -> None:
    lists = b"[]," * (MAX_CONTAINERS - 1) + b"{}"
    check_body(Opcode.OPEN, lists + b" " * MAX_BODY_BYTES)
    check_body(Opcode.OPEN, b"[" * MAX_BODY_BYTES)
    with pytest.raises(RequestRefused, match="OPEN has 16385 lists and objects in 114688 bytes") as refused:
        check_body(Opcode.OPEN, memoryview(lists + b"[" + b" " * MAX_BODY_BYTES))
    assert refused.value.code == Code.MESSAGE_TOO_BIG


def test_a_hello_that_is_too_large_closes() -> None:
    with pytest.raises(ProtocolViolation) as violation:
        check_body_size(Opcode.HELLO, MAX_BODY_BYTES + 1)
    assert violation.value.code == Code.BAD_HELLO
