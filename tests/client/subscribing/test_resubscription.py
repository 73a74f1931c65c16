"""Resubscriptions of any size, in frames of a bounded one."""

import pytest

from gateway.client.subscribing.resubscription import ENTRY_BYTES, REST_BYTES, StreamPart, parts_of
from gateway.protocol.json_body import EXACT_MAX, U64_MAX
from gateway.protocol.messages import Counts, Credits, Subscribe
from gateway.protocol.session_body import write_session

MAX_BYTES = 64 * 1024


def asked(streams: list[StreamPart], request: Subscribe) -> list[Subscribe]:
    """The parts of a request, each of which fits a frame."""
    parts = list(parts_of(request, streams, MAX_BYTES))
    assert max(len(write_session(part)) for part in parts) <= MAX_BYTES
    return [part for part in parts if isinstance(part, Subscribe)]


@pytest.mark.parametrize("name", ["wf/x", "wf/" + "x" * 246])
@pytest.mark.parametrize("number", [0, U64_MAX])
def test_a_part_fits_its_frame_and_all_together_name_every_stream(name: str, number: int) -> None:
    counts = Counts(*[number] * len(Counts._fields))
    streams = [StreamPart(f"{name}{each:06}", (EXACT_MAX, number), counts) for each in range(2000)]
    request = Subscribe(4, 9, "wf/*", credits=Credits(1, 2), resume={"wf/big": (3, 4)}, observe=False)
    first, *rest, last = parts = asked(streams, request)
    assert [part.more for part in parts] == [True, *[True for _ in rest], None]
    assert (first.credits, last.credits, last.observe) == (None, Credits(1, 2), False)
    assert [part.resume for part in parts if part.resume] == [{"wf/big": (3, 4)}]
    assert {(part.request, part.subscription, part.pattern) for part in parts} == {(4, 9, "wf/*")}
    since: dict[str, tuple[int, int]] = {}
    account: dict[str, Counts] = {}
    for part in parts:
        assert isinstance(part.since, dict)
        since.update(part.since)
        account.update(part.account or {})
    assert since == {stream: position for stream, position, _ in streams}
    assert account == {stream: counts for stream, _, counts in streams}


def test_what_fits_is_one_message() -> None:
    request = Subscribe(4, 9, "wf/*", resume={"wf/big": (3, 4)})
    (only,) = asked([StreamPart("wf/a", (1, 2), Counts(3))], request)
    assert only == Subscribe(4, 9, "wf/*", {"wf/a": (1, 2)}, resume={"wf/big": (3, 4)}, account={"wf/a": Counts(3)})
    (empty,) = asked([], request)
    assert empty.since == {}


def test_a_frame_that_is_smaller_than_one_stream_takes_one() -> None:
    streams = [StreamPart(f"wf/{each}", (1, 2), Counts()) for each in range(3)]
    parts = list(parts_of(Subscribe(4, 9, "wf/*"), streams, REST_BYTES + ENTRY_BYTES // 2))
    assert len(parts) == 3
