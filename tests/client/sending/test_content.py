"""Tests that what a caller gives becomes meta block and payload, without a copy where none is needed."""

from contextlib import ExitStack
from types import MappingProxyType

import numpy as np
import pytest

from gateway.client.sending.content import ROOMS_BYTES, SNAPSHOT_BYTES, CopyRooms, content_of, kind_of
from gateway.errors import InvalidArgument, UnsupportedDtype, UsageError
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta
from gateway.protocol.tensors import view_tensors


def test_one_array_is_an_unnamed_tensor_over_the_same_memory() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = content_of(array, None)
    meta = parse_meta(content.meta)
    (view,) = view_tensors(meta.specs, content.payload())
    assert [spec.name for spec in meta.specs] == [""]
    assert meta.headers is None
    assert np.shares_memory(view, array)
    np.testing.assert_array_equal(view, array)
    assert (content.payload_bytes, content.element) == (24, array.dtype)


@pytest.mark.parametrize("mapping", [dict, MappingProxyType])
def test_a_mapping_is_several_named_tensors(mapping: type) -> None:
    w, b = np.ones((2, 3), np.float64), np.arange(3, dtype=np.int8)
    content = content_of(mapping({"w": w, "b": b}), {"step": 7})
    meta = parse_meta(content.meta)
    views = view_tensors(meta.specs, content.payload())
    assert [spec.name for spec in meta.specs] == ["w", "b"]
    assert meta.headers == {"step": 7}
    np.testing.assert_array_equal(views[0], w)
    np.testing.assert_array_equal(views[1], b)
    assert content.element == np.uint8  # mixed: nothing to shuffle by
    assert content.payload_bytes == len(content.payload())


def test_none_is_a_message_of_headers_only() -> None:
    content = content_of(None, {"a": [1, 2]})
    assert content.payload_bytes == 0
    assert parse_meta(content.meta).headers == {"a": [1, 2]}


def test_none_without_headers_is_an_empty_message() -> None:
    content = content_of(None, None)
    assert (content.meta, content.payload_bytes, content.payload()) == (b"", 0, b"")


@pytest.mark.parametrize("value", [3.5, [1, 2, 3], np.float32(1), np.zeros((0, 4)), np.arange(10)[::2]])
def test_array_likes_are_taken(value: object) -> None:
    content = content_of(value, None)
    (view,) = view_tensors(parse_meta(content.meta).specs, content.payload())
    np.testing.assert_array_equal(view, np.asarray(value))


class ChangingRoom(bytearray):
    """Memory for a copy; an array changes whenever the copy was made."""

    changes: list[object]

    def startswith(self, prefix: object, start: object = None, end: object = None) -> bool:
        if self.changes:
            self.changes.pop(0)()  # type: ignore[operator]
        return bytes(self).startswith(bytes(prefix), start)  # type: ignore[call-overload, arg-type]


@pytest.mark.parametrize("place", [0, -1])
def test_a_payload_that_another_thread_changes_is_copied_as_it_is_at_one_moment(place: int) -> None:
    first, second = np.zeros(5), np.zeros(3, np.float32)
    content = content_of({"first": first, "second": second}, None)
    room = ChangingRoom(content.payload_bytes + 7)

    def change() -> None:
        first[place] += 1
        second[place] += 1

    room.changes = [change]
    assert bytes(content.copied(room, "wf/x")) == content.payload() == bytes(room[:-7])
    assert first[place] == 1
    room.changes = [change] * 100
    with pytest.raises(UsageError, match="wf/x"):
        content.copied(room, "wf/x")


def test_the_memory_of_a_copy_is_used_again() -> None:
    rooms = CopyRooms()
    array = np.arange(1000.0)
    with rooms.copied(content_of(array, None), "wf/x") as (first, unchanging):
        assert unchanging
        array[:] = 0
        assert bytes(first.payload()) == np.arange(1000.0).tobytes()
        with rooms.copied(content_of(array, None), "wf/x") as (second, _):
            assert not np.shares_memory(first.payload(), second.payload())
    with rooms.copied(content_of(array[1:], None), "wf/x") as (third, _):
        assert np.shares_memory(third.payload(), second.payload())
        assert bytes(third.payload()) == bytes(999 * 8)


def test_memory_is_not_used_again_when_a_thread_may_be_reading_it() -> None:
    rooms = CopyRooms()
    content = content_of(np.arange(1000.0), None)
    with pytest.raises(RuntimeError), rooms.copied(content, "wf/x") as (first, _):
        raise RuntimeError("the connection was lost")
    with rooms.copied(content, "wf/x") as (second, _):
        assert not np.shares_memory(first.payload(), second.payload())


def test_copies_are_made_as_long_as_there_is_room() -> None:
    rooms = CopyRooms()
    small, large = (content_of(np.zeros(size, np.uint8), None) for size in (SNAPSHOT_BYTES // 2, SNAPSHOT_BYTES))
    too_large = content_of(np.zeros(SNAPSHOT_BYTES + 1, np.uint8), None)
    for _ in range(3):  # two different sizes, so that memory has to be given up for other
        with ExitStack() as stack:
            copies = [
                stack.enter_context(rooms.copied(small, "wf/x")) for _ in range(ROOMS_BYTES // SNAPSHOT_BYTES * 2)
            ]
            assert all(unchanging for _, unchanging in copies)
            for content in (small, large, too_large):
                assert stack.enter_context(rooms.copied(content, "wf/x")) == (content, False)
        with rooms.copied(large, "wf/x") as (_, unchanging):
            assert unchanging


def test_bytes_need_no_copy() -> None:
    content = content_of(np.zeros(4, np.uint8), None)._replace(buffers=[b"1234"])
    with CopyRooms().copied(content, "wf/x") as (same, unchanging):
        assert same is content
        assert unchanging


def test_bytes_that_nobody_changes_are_not_copied() -> None:
    payload = b"1234"
    content = content_of(np.zeros(4, np.uint8), None)._replace(buffers=[payload])
    assert content.copied(bytearray(4), "wf/x") is payload


def test_an_unsendable_dtype_is_named() -> None:
    with pytest.raises(UnsupportedDtype, match="object"):
        content_of(np.array([object()]), None)


def test_names_must_be_strings() -> None:
    with pytest.raises(InvalidArgument, match="7"):
        content_of({7: np.zeros(2)}, None)


def test_kinds_are_checked() -> None:
    assert kind_of("event") is Kind.EVENT
    assert kind_of(Kind.STATE) is Kind.STATE
    assert kind_of(None) is None
    with pytest.raises(InvalidArgument, match=r"'evnt'.*event"):
        kind_of("evnt")
