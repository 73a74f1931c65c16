"""The code and ``spec/protocol.md`` say the same: opcodes, codes, limits, layouts, examples, citations."""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterator
from typing import Any, get_args

import orjson
import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.presence.settings import PresenceSettings
from gateway.connections.sessions.credit_window import WINDOW_BYTES, WINDOW_MESSAGES
from gateway.connections.sessions.outstanding_requests import MAX_RELEASED, REQUEST_BYTES, RequestSettings
from gateway.connections.sessions.session import MAX_UNREADABLE
from gateway.errors import Code, action_of
from gateway.protocol import wire
from gateway.protocol.codecs import COMPRESSORS, FILTERS, NONE
from gateway.protocol.dtypes import DTYPES, code_of, dtype_name
from gateway.protocol.json_size import MAX_BODY_BYTES, MAX_CONTAINERS, MAX_OPEN_BYTES
from gateway.protocol.limits import Limits
from gateway.protocol.long_text import MAX_JSON_BYTES
from gateway.protocol.messages import ClientType, Kind, SessionMessage
from gateway.protocol.presence import MAX_AWARENESS_BYTES, MAX_METADATA_BYTES
from gateway.protocol.session_body import fields_of, parse_session
from gateway.protocol.state import SENT_BY, Role
from gateway.protocol.transfers import Chunk
from gateway.protocol.wire import DATA_OPCODES, JSON_OPCODES, Opcode
from gateway.streams.producers import MAX_ABSENT, WINDOW_RANGES
from tests.conformance.diagrams import diagram, with_diagrams
from tests.conformance.specification import (
    ROOT,
    SECTIONS,
    TEXT,
    Example,
    anchors,
    examples,
    json_example,
    table,
)
from tests.conformance.vectors import FLAGS, SIGNALS, Vector, load

OPCODES = table("2", "opcode")
SECTION_OF = {row["name"]: row["section"][1 : row["section"].index("]")] for row in OPCODES}
VECTORS = {vector.name: vector for vector in load()}


# --- the page itself ----------------------------------------------------------------------------------------------


def test_every_link_leads_to_a_heading() -> None:
    links = re.findall(r"\]\(#([^)]+)\)", TEXT)
    assert links
    assert set(links) <= anchors()


def test_every_link_to_a_section_names_its_number() -> None:
    for text, anchor in re.findall(r"\[(?:section )?(\d+(?:\.\d+)?)\]\(#([^)]+)\)", TEXT):
        assert anchor.startswith(text.replace(".", "") + "-")


def citations() -> Iterator[tuple[str, str]]:
    """File and number of every `spec section N` in the package, across line breaks."""
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        text = re.sub(r"\s*\n\s*#?\s*", " ", path.read_text("utf-8"))
        for numbers in re.findall(r"[Ss]pec sections? (\d[\d.]*(?:(?:,| and| to|, and) \d[\d.]*)*)", text):
            for number in re.findall(r"\d+(?:\.\d+)?", numbers):
                yield str(path.relative_to(ROOT)), number


def test_every_cited_section_exists() -> None:
    found = set(citations())
    assert len({path for path, _ in found}) > 10
    assert [(path, number) for path, number in sorted(found) if number not in SECTIONS] == []


# --- numbers ------------------------------------------------------------------------------------------------------


def test_opcodes() -> None:
    assert {(int(row["opcode"], 16), row["name"]) for row in OPCODES} == {(op.value, op.name) for op in Opcode}
    assert len(OPCODES) == len(Opcode)


def test_bodies() -> None:
    bodies = {body: {Opcode[row["name"]] for row in OPCODES if row["body"] == body} for body in ("JSON", "data")}
    assert bodies == {"JSON": JSON_OPCODES, "data": DATA_OPCODES}
    assert {row["body"] for row in OPCODES} == {"JSON", "data", "binary"}


def test_senders() -> None:
    for role, other in ((Role.CLIENT, Role.SERVER), (Role.SERVER, Role.CLIENT)):
        assert {row["name"] for row in OPCODES if row["sent by"] != other} == {op.name for op in SENT_BY[role]}


def test_flags() -> None:
    (flags,) = [row for row in table("5", "offset") if row["field"] == "flags"]
    bits = re.findall(r"bit (\d) ([A-Z]+)", flags["from the client"])
    assert {name: 1 << int(bit) for bit, name in bits} == FLAGS
    assert "bit 0: ENCODED" in table("6.2", "offset")[0]["meaning"].replace("`", "")
    descriptor = {row["field"]: row["meaning"] for row in table("5.1", "offset")}["flags"]
    assert re.findall(r"bit (\d): (\w+)", descriptor) == [("0", "another"), ("1", "dimensions")]
    assert (wire.DESCRIPTOR_MORE, wire.DESCRIPTOR_WIDE) == (1, 2)


def test_codes() -> None:
    rows = table("12.1", "code")
    assert [(int(row["code"]), row["name"]) for row in rows] == [(c.value, c.name) for c in Code if c >= 4000]


def test_actions() -> None:
    rows = table("12", "range")
    assert len(rows) == 4
    for row in rows:
        for hundreds in re.findall(r"(\d\d)xx", row["range"]):
            assert action_of(int(hundreds) * 100 + 99).value == re.split(r"`|:", row["action"])[0]


def test_actions_of_websocket_codes() -> None:
    ((reconnect, final),) = re.findall(
        r"keep their meaning: 1000 ends,(.*?) are `reconnect`,(.*?) are `do_not_reconnect`", SECTIONS["12"], re.S
    )
    assert {action_of(int(code)).value for code in re.findall(r"\b1\d{3}\b", reconnect)} == {"reconnect"}
    assert {action_of(int(code)).value for code in re.findall(r"\b1\d{3}\b", final)} == {"do_not_reconnect"}


def test_every_code_that_the_page_names_exists() -> None:
    known = {code.name for code in Code} | {opcode.name for opcode in Opcode}
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.S)
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", prose)) <= known


def test_limits() -> None:
    limits, requests, consumers, presence = Limits(), RequestSettings(), ConsumerSettings(), PresenceSettings()
    expected = {
        "max_frame_bytes": limits.max_frame_bytes,
        "messages in a row that cannot be read": MAX_UNREADABLE,
        "max_message_bytes": limits.max_message_bytes,
        "chunk_bytes": limits.chunk_bytes,
        "JSON body of a frame from a client, or text of a session message": MAX_BODY_BYTES,
        "the same of OPEN": MAX_OPEN_BYTES,
        "lists and objects in such JSON of more than 64 KiB, by its brackets": MAX_CONTAINERS,
        "text message from a client, without the base64 of its tensors": MAX_JSON_BYTES,
        "headers of a message": wire.MAX_HEADERS_BYTES,
        "tensors of a message": wire.MAX_TENSORS,
        "aliases of a connection": limits.max_aliases,
        "subscriptions of a connection": limits.max_subscriptions,
        "streams that a connection receives, each counted for each subscription": limits.max_subscribed_streams,
        "the same of all connections": limits.max_all_subscribed_streams,
        "consumers of a gateway, each client counted for each stream": consumers.max_consumers,
        "open transfers of a connection": limits.max_transfers,
        "outstanding requests of a connection": limits.max_requests,
        "unanswered group requests of a connection, their bytes": requests.kept_bytes_per_asker,
        "unanswered group requests of a gateway, their bytes": requests.kept_bytes,
        "streams of a gateway": limits.max_streams,
        "bytes by which the newest messages of all `state` streams are larger decoded than as published": (
            limits.max_expanded_bytes
        ),
        "max_unfinished_bytes": limits.max_unfinished_bytes,
        "received bytes of the large messages of all clients that are not finished": limits.max_all_unfinished_bytes,
        "ranges of sequences of a producer and stream": WINDOW_RANGES,
        "seconds that they are remembered without a connection": int(wire.PRODUCER_KEPT_S),
        "producers without a connection, by stream": MAX_ABSENT,
        "transfer_timeout_s": int(CoreSettings().transfer_timeout_s),
        "views of a gateway": limits.max_views,
        "views of a gateway, bytes of their newest messages": limits.max_view_bytes,
        "views of a connection, bytes of their newest messages": limits.max_connection_view_bytes,
        "consumer_ttl_s": int(consumers.consumer_ttl_s),
        "ack_timeout_s": int(consumers.ack_timeout_s),
        "max_tries": consumers.max_tries,
        "max_pending_commands": consumers.max_pending_commands,
        "hold_bytes": consumers.hold_bytes,
        "max_hold_s": int(consumers.max_hold_s),
        "limit_bytes": consumers.limit_bytes,
        "dead_letter_bytes": consumers.dead_letter_bytes,
        "scopes that a connection attends": presence.max_scopes,
        "members of a scope": presence.max_members,
        "members and watchers of all scopes": presence.max_places,
        "metadata of a member": MAX_METADATA_BYTES,
        "awareness of a member": MAX_AWARENESS_BYTES,
        "metadata and awareness of all members": presence.max_bytes,
        "max_event_hold_s": int(DeliverySettings().max_event_hold_s),
    }
    units = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    found = {}
    for row in table("13", "limit"):
        number, unit = re.fullmatch(r"([\d ]+?) ?([KMG]iB)?", row["default"]).groups()  # type: ignore[union-attr]
        found[row["limit"]] = int(number.replace(" ", "")) * units[unit or ""]
    assert found == expected
    assert {field.name for field in dataclasses.fields(limits)} <= set(expected) | {
        "max_aliases",
        "max_subscriptions",
        "max_transfers",
        "max_requests",
        "max_streams",
        "max_views",
        "max_view_bytes",
        "max_expanded_bytes",
        "max_subscribed_streams",
        "max_all_subscribed_streams",
        "max_all_unfinished_bytes",
        "max_connection_view_bytes",
    }


def test_times_of_presence() -> None:
    presence = PresenceSettings()
    assert f"`grace_s` ({presence.grace_s:g} s)" in SECTIONS["16.1"]
    assert f"`flush_window_s`, {1000 * presence.flush_window_s:g} ms" in SECTIONS["16.2"]
    assert f"`awareness_ttl_s` ({presence.awareness_ttl_s:g} s)" in SECTIONS["16.3"]


def test_numbers_of_credits() -> None:
    window = f"a window of {WINDOW_MESSAGES} messages and {WINDOW_BYTES >> 20} MiB"
    assert window in SECTIONS["7.5"]


def test_numbers_of_groups() -> None:
    assert f"each counted as {REQUEST_BYTES >> 10} KiB" in SECTIONS["8.2"]
    assert f"`max_handovers` ({RequestSettings().max_handovers})" in SECTIONS["8.2"]
    assert f"remembers the last {MAX_RELEASED} of them" in SECTIONS["8"]


def test_bounds_in_tables() -> None:
    plan = {row["field"]: row["meaning"] for row in table("6.1", "offset")}
    bounds = f"a multiple of {wire.CHUNK_BYTES_MULTIPLE}, from {wire.MIN_CHUNK_BYTES} to {wire.MAX_CHUNK_BYTES}"
    assert bounds in plan["chunk_bytes"]
    descriptor = {row["field"]: row["meaning"] for row in table("5.1", "offset")}
    assert descriptor["ndim"] == f"0 to {wire.MAX_NDIM}"
    assert f"more than {wire.MAX_NDIM} dimensions" in SECTIONS["11"]


def test_dtypes() -> None:
    # The table has two triples of columns side by side, which a dict by column cannot hold.
    triples = re.findall(r"\| (\d+) \| `(\w+)` \| (\d+) (?=\|)", SECTIONS["11"])
    assert sorted((int(code), name, int(size)) for code, name, size in triples) == [
        (code_of(dtype), dtype_name(dtype), dtype.itemsize) for dtype in DTYPES
    ]


def test_codecs() -> None:
    rows = {(int(row["id"]), row["name"], row["kind"]) for row in table("10", "id")}
    compressors = {(codec.id, codec.name, "compressor") for codec in COMPRESSORS.values()}
    filters = {(step.id, step.name, "filter") for step in FILTERS.values()}
    assert rows == {(NONE.id, NONE.name, "")} | compressors | filters


def test_parameters_of_codecs_and_filters() -> None:
    ranges = {row["name"]: re.findall(r"(\d+) to (\d+)", row["parameter"]) for row in table("10", "id")}
    assert {name for name, found in ranges.items() if not found} == {NONE.name, "lz4", "zstd", "snappy"}
    for step in (*FILTERS.values(), COMPRESSORS["pco"]):
        ((first, last),) = ranges[step.name]
        assert (step.parameters[0], step.parameters[-1]) == (int(first), int(last))


def test_most_bytes_that_codecs_make_of_one() -> None:
    ratios = ", ".join(f"{name} {COMPRESSORS[name].max_ratio:,}" for name in ("pco", "lz4", "snappy"))
    text = " ".join(SECTIONS["10"].split())
    assert f"zstd makes at most {COMPRESSORS['zstd'].max_ratio:,} bytes of one, {ratios}." in text


# --- states -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_diagrams_of_the_states_are_those_of_the_code(role: Role) -> None:
    assert diagram(role) in SECTIONS["3"], "run make diagrams"


def test_diagrams_go_where_the_page_has_their_markers() -> None:
    assert with_diagrams(TEXT) == TEXT
    with pytest.raises(ValueError, match="states: server"):
        with_diagrams(TEXT.replace("<!-- states: server -->", ""))


# --- layouts ------------------------------------------------------------------------------------------------------

TYPES = {
    "u8": "B",
    "u16": "H",
    "u32": "I",
    "u64": "Q",
    "i64": "q",
    "8 bytes": "IBBH",
    "4 × (u8, u8)": f"{2 * wire.MAX_STEPS}B",
}


@pytest.mark.parametrize(
    ("section", "layout"),
    [
        pytest.param("2", wire.FRAME_START, id="frame start"),
        pytest.param("5", wire.DATA_HEADER, id="data header"),
        pytest.param("5.1", wire.DESCRIPTOR, id="descriptor"),
        pytest.param("6.1", wire.CHUNK_PLAN, id="chunk plan"),
        pytest.param("6.2", wire.CHUNK_HEADER, id="chunk"),
        pytest.param("6.3", wire.END_FRAME, id="end"),
        pytest.param("6.4", wire.ABORT_FRAME, id="abort"),
        pytest.param("7.1", wire.ACK_FRAME, id="ack"),
        pytest.param("7.2", wire.RANGE_FRAME, id="gap"),
        pytest.param("5.3", wire.EXTENSION_BLOCK, id="extension block"),
        pytest.param("6.5", wire.RESUME_FRAME, id="resume"),
        pytest.param("7.3", wire.RANGE_FRAME, id="replay"),
        pytest.param("7.4", wire.RANGE_FRAME, id="done"),
        pytest.param("7.5", wire.CREDIT_FRAME, id="credit"),
        pytest.param("7.8", wire.IN_PROGRESS_FRAME, id="in progress"),
        pytest.param("7.9", wire.CONFLATED_FRAME, id="conflated"),
        pytest.param("7.10", wire.REPORT_FRAME, id="report"),
        pytest.param("8.1", wire.CANCEL_FRAME, id="cancel"),
        pytest.param("10.1", wire.ENCODING_BLOCK, id="encoding block"),
    ],
)
def test_byte_table(section: str, layout: struct.Struct) -> None:
    written = "<"
    for row in table(section, "offset"):
        if row["type"] not in TYPES:
            break
        assert int(row["offset"]) == struct.calcsize(written)
        written += "4x" if row["field"] == "reserved" else TYPES[row["type"]]
    assert written == layout.format


def test_layouts_in_prose() -> None:
    assert f"Data frame header, {wire.DATA_HEADER.size} bytes" in SECTIONS["5"]
    assert f"PING, {wire.PING_FRAME.size} bytes: frame start, `i64 t0`" in SECTIONS["9"]
    assert f"PONG, {wire.PONG_FRAME.size} bytes: frame start, `t0` as received, `i64 t1`" in SECTIONS["9"]
    assert (wire.PING_FRAME.format, wire.PONG_FRAME.format) == ("<IBBHq", "<IBBHqqq")
    assert "the batch block (`u32 count`, `u32` zero)" in SECTIONS["5"]
    assert wire.BATCH_BLOCK.format == "<II"
    listed = "Positions: `u32 count` (at most 64), `u32` zero, then for each `u32 stream`, `u32 behind`, `u64 offset`"
    assert listed in SECTIONS["7.10"]
    assert (wire.REPORT_COUNT.format, wire.REPORT_POSITION.format) == ("<I4x", "<IIQ")
    assert wire.MAX_POSITIONS == 64
    assert f"{wire.KNOWN_POSITIONS} of them at most" in SECTIONS["7.10"]
    most_bytes = wire.REPORT_FRAME.size + wire.REPORT_COUNT.size + wire.MAX_POSITIONS * wire.REPORT_POSITION.size
    assert f"REPORT has at most {most_bytes} bytes" in SECTIONS["7.10"]
    header = wire.DATA_HEADER.format
    assert header.endswith(wire.DATA_ROUTE.format[1:] + "q")
    assert struct.calcsize(header) - struct.calcsize(wire.DATA_ROUTE.format + "q") == wire.ROUTE_AT


# --- words --------------------------------------------------------------------------------------------------------


def test_words() -> None:
    (kinds,) = re.findall(r"A stream has a kind \(([^)]*)\)", SECTIONS["4"])
    assert re.findall(r"\w+", kinds) == list(Kind)
    fields = {row["field"]: row["meaning"] for row in table("3.1", "field")}
    assert re.findall(r"\w+(?=`)", "`" + fields["client_type"] + "`") == list(ClientType)
    assert {row["subprotocol"] for row in table("1", "subprotocol")} == {wire.SUBPROTOCOL_BINARY, wire.SUBPROTOCOL_JSON}


def test_message_types_of_the_json_subprotocol() -> None:
    (row,) = [row for row in table("14", "field") if row["field"] == "message_type"]
    in_binary_only = {
        Opcode.BATCH,
        Opcode.CHUNK,
        Opcode.END,
        Opcode.ABORT,
        Opcode.RESUME,
        Opcode.DONE,
        Opcode.IN_PROGRESS,
        Opcode.CONFLATED,
    }
    expected = [opcode.name.lower() for opcode in Opcode if opcode not in in_binary_only]
    assert re.findall(r"`([a-z_]+)`", row["meaning"]) == expected


MESSAGE_CLASSES: dict[str, type] = {
    **{cls.opcode.name: cls for cls in get_args(SessionMessage)},
    **{Opcode(opcode).name: cls for opcode, cls in SIGNALS.items()},
    "CHUNK": Chunk,
}


def test_every_opcode_has_a_class() -> None:
    assert set(MESSAGE_CLASSES) == {row["name"] for row in OPCODES if row["body"] != "data"}


@pytest.mark.parametrize("name", MESSAGE_CLASSES)
def test_every_message_class_cites_its_section(name: str) -> None:
    assert f"spec section {SECTION_OF[name]})" in (MESSAGE_CLASSES[name].__doc__ or "")


@pytest.mark.parametrize("opcode", sorted(JSON_OPCODES))
def test_json_example(opcode: Opcode) -> None:
    section = SECTION_OF[opcode.name]
    if opcode == Opcode.UNSUBSCRIBED:
        assert "answered by UNSUBSCRIBED with the same fields" in SECTIONS[section]
        return
    text = json_example(section, opcode.name)
    parsed = parse_session(opcode, text.encode())
    assert orjson.loads(orjson.dumps(fields_of(parsed))) == orjson.loads(text)


# --- worked examples ----------------------------------------------------------------------------------------------


def flattened(value: Any, name: str = "") -> dict[str, str]:
    """The fields of a frame's description under their own names, lists as ``a,b``, pairs as ``a:b``."""
    if isinstance(value, dict):
        return {key: text for name, inner in value.items() for key, text in flattened(inner, name).items()}
    if isinstance(value, list):
        if any(isinstance(item, dict) for item in value):
            return {key: text for item in value for key, text in flattened(item).items()}
        words = [":".join(map(str, item)) if isinstance(item, list) else str(item) for item in value]
        return {name: ",".join(words) or "none"}
    return {name: str(value)}


def frame_at(vector: Vector, offset: int) -> dict[str, str]:
    start = 0
    for frame in vector.about["frames"]:
        start += wire.padded(frame["frame_bytes"])
        if offset < start:
            return flattened(frame)
    raise AssertionError(f"{vector.name} has no byte {offset}")


EXAMPLES = [pytest.param(example, id=example.vector) for example in examples()]


def test_there_are_examples_of_all_binary_frames() -> None:
    shown = {frame["opcode"] for example in examples() for frame in VECTORS[example.vector].about["frames"]}
    assert shown >= {row["name"] for row in OPCODES if row["body"] == "binary"} | {"HELLO", "MESSAGE", "BATCH"}
    assert len(EXAMPLES) == len(re.findall("```text", TEXT))


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_shows_its_vector(example: Example) -> None:
    assert b"".join(line.data for line in example.lines) == VECTORS[example.vector].message
    assert [line.offset for line in example.lines] == list(range(0, 8 * len(example.lines), 8))


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_says_what_the_bytes_are(example: Example) -> None:
    for line in example.lines:
        fields = frame_at(VECTORS[example.vector], line.offset)
        for name, value in re.findall(r"(\w+)=([^\s;]+)", line.note):
            assert fields[name] == value.rstrip(",")
            if value.lstrip("-").isdecimal():
                assert any(struct.pack(size, int(value)) in line.data for size in sizes_of(int(value)))
        for text in re.findall(r"`([^`]*)`", line.note):
            assert text.encode() in line.data


def sizes_of(value: int) -> list[str]:
    """The widest little-endian integers that a field of a table could hold ``value`` in, from u16 on."""
    return [size for size, bits in (("<q", 63), ("<I", 32), ("<H", 16)) if value < 1 << bits]
