"""Changes that a store makes in its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.ids import ClientId
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage
from gateway.streams.progress import Mark
from gateway.streams.run import Origin, Run
from gateway.streams.span import held_bytes_of, offsets_of
from gateway.streams.sqlite.rows import MessageRow, rows_of
from gateway.streams.stream import Stream


@dataclass(frozen=True, slots=True)
class Append:
    """Keep the next messages of a stream."""

    stream: Stream
    entry: Entry
    origin: Origin | None = None
    keyframe: Callable[[], Entry] | None = None
    """Function that makes the keyframe which is kept of a patch; ``None`` for other entries."""

    @property
    def content(self) -> Entry:
        """The entry that is kept. Slow for a patch."""
        return self.entry if self.keyframe is None else self.keyframe()


@dataclass(frozen=True, slots=True)
class StageChunk:
    """Keep a chunk of a large message whose :class:`Append` will follow."""

    message: LargeMessage
    index: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Delete the chunks of a large message that will not be appended."""

    message: LargeMessage


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete a stream that has ended."""

    stream: Stream


class Advance(NamedTuple):
    """Keep the progress of a client in a stream that it acknowledges; does not cause a transaction by itself."""

    stream: Stream
    client_id: ClientId
    mark: Mark | None
    """``None``: it no longer receives the stream."""


Change = Append | StageChunk | Discard | Forget


def rows_for(appends: Sequence[Append]) -> list[MessageRow]:
    """Return the rows for appends; of streams that keep their newest message only, the row of that message."""
    last_of = {append.stream: append for append in appends if append.stream.keeps_newest_only}
    all_origins: dict[Stream, list[Origin]] = {stream: [] for stream in last_of}
    newest: list[MessageRow] = []
    rows: list[MessageRow] = []
    runs: list[tuple[Stream, Run, Origin | None]] = []
    for append in appends:
        stream, origin = append.stream, append.origin
        origins = all_origins.get(stream, [])
        if origin is not None:
            origins.append(origin)
        if stream in last_of and append is not last_of[stream]:
            continue
        entry = append.content
        if stream in last_of:
            content = entry.newest() if isinstance(entry, Run) else entry
            first, last = offsets_of(content)
            newest.append(MessageRow(stream, first, last - first + 1, held_bytes_of(content), origins, content))
        elif isinstance(entry, Run):
            runs.append((stream, entry, origin))
        else:
            # Runs before it must not be joined with runs behind it.
            rows += rows_of(runs)
            runs = []
            rows.append(MessageRow(stream, offsets_of(entry)[0], 1, held_bytes_of(entry), origins, entry))
    return [*rows, *rows_of(runs), *newest]
