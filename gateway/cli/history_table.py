"""Summary of a traffic history as a table for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from rich.table import Table
from rich.text import Text

from gateway.cli import text
from gateway.cli.advice_lines import LastTrials, advice_json
from gateway.optimizer.history.reading import ReadingTally
from gateway.optimizer.history.summary import DecisionSummary, SummaryKey

UNKNOWN: Final = "-"
"""Cell of a figure that is not known."""

COLUMNS: Final = (
    "stream",
    "encoding",
    "records",
    "payload",
    "bytes",
    "ratio",
    "encode",
    "interval",
    "receivers",
    "round trip",
    "goodput",
    "queue delay",
    "decode",
    "zeros",
    "receiver",
)

FLEXIBLE: Final = frozenset({"stream", "payload", "receiver"})
"""Columns that are cut off in a narrow terminal."""


def table_of(found: Mapping[SummaryKey, DecisionSummary]) -> Table:
    """Return the table, a line for each decision."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    rows = [_cells(key, summary) for key, summary in found.items()]
    for title, cells in zip(COLUMNS, zip(*rows, strict=True), strict=True):
        width = None if title in FLEXIBLE else max(map(len, (title, *cells)))
        table.add_column(title, no_wrap=True, overflow="ellipsis", min_width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def totals_of(tally: ReadingTally) -> str:
    """Return one line about all files."""
    parts = [f"{text.count(tally.records, 'record')} in {text.count(tally.files, 'file')}"]
    if tally.trials:
        parts.append(text.count(tally.trials, "shadow trial"))
    if tally.damaged_bytes:
        parts.append(f"{tally.damaged_bytes:,} damaged bytes left out")
    if tally.unknown_records:
        parts.append(f"{text.count(tally.unknown_records, 'record')} of another kind left out")
    if tally.unreadable_files:
        parts.append(f"{text.count(tally.unreadable_files, 'file')} unreadable")
    return "; ".join(parts)


def json_of(found: Mapping[SummaryKey, DecisionSummary], trials: LastTrials, tally: ReadingTally) -> str:
    """Return the summary as one JSON object; a figure that is not known is null."""
    decisions = [_fields(key, summary) for key, summary in found.items()]
    advised = {"decisions": decisions, "tried": advice_json(trials, found)}
    return orjson.dumps({**asdict(tally), **advised}, option=orjson.OPT_INDENT_2).decode()


def _fields(key: SummaryKey, summary: DecisionSummary) -> dict[str, Any]:
    newest = summary.newest
    return {
        **key._asdict(),
        "records": summary.records,
        "first": _time(summary.first_ns),
        "last": _time(newest.time_ns),
        "messages": summary.messages,
        "dtype": newest.dtype,
        "shape": newest.shape,
        "tensors": newest.tensors,
        "payload_bytes": newest.payload_bytes,
        "published_encoding": newest.published_encoding,
        "published_bytes": summary.published_bytes,
        "sent_bytes": summary.sent_bytes,
        "ratio": summary.ratio,
        "encode_s": summary.encode_s.value,
        "arrival_interval_s": summary.arrival_interval_s.value,
        "burstiness": summary.burstiness.value,
        "cpu_headroom": summary.cpu_headroom.value,
        "receivers": summary.receivers,
        "client": newest.client,
        "rtt_s": summary.rtt_s.value,
        "goodput_bytes_per_s": summary.goodput_bytes_per_s.value,
        "queue_delay_s": summary.queue_delay_s.value,
        "decode_s_per_byte": summary.decode_s_per_byte.value,
        "features": asdict(newest.features),
    }


def _cells(key: SummaryKey, summary: DecisionSummary) -> list[str]:
    newest = summary.newest
    shape = f"{newest.dtype}{list(newest.shape)}" if newest.tensors else UNKNOWN
    more = f" + {newest.tensors - 1}" if newest.tensors > 1 else ""
    decode = summary.decode_s_per_byte.value
    return [
        text.printable(f"{key.stream} {key.view}".strip()),
        text.printable(key.chain),
        f"{summary.records:,}",
        text.printable(shape + more),
        text.size(newest.payload_bytes),
        _known(summary.ratio, lambda ratio: f"{ratio:.3f}"),
        _known(summary.encode_s.value, text.duration),
        _known(summary.arrival_interval_s.value, text.duration),
        f"{summary.receivers:,}",
        _known(summary.rtt_s.value, text.duration),
        _known(summary.goodput_bytes_per_s.value, lambda rate: f"{text.size(rate)}/s"),
        _known(summary.queue_delay_s.value, text.duration),
        _known(decode, lambda each: f"{text.duration(each * 1e6)}/MB"),
        _known(newest.features.zero_share, lambda share: f"{share:.0%}"),
        text.printable(newest.client),
    ]


def _known(value: float | None, form: Callable[[float], str]) -> str:
    return UNKNOWN if value is None else form(value)


def _time(time_ns: int) -> str:
    """Return a time as text; every one of 64 bits is within the calendar."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat()
