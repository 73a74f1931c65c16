"""Golden bytes: reading the files of ``spec/vectors``, and turning bytes into descriptions and back with our own code.

A description is a list with one object for each frame of a WebSocket message; ``spec/vectors/README.md`` says what is
in it. Integers of 64 bits are strings, because JavaScript's JSON would round them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame, parse_data, write_data
from gateway.protocol.dtypes import dtype_name, dtype_named
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import CodecStep, Encoding, decode
from gateway.protocol.extensions import Extensions, Extent, Identity, Quantization
from gateway.protocol.frames import Frame, body_of, iter_frames
from gateway.protocol.meta import Meta, parse_meta, write_meta
from gateway.protocol.session_body import fields_of, parse_session, write_session
from gateway.protocol.signals import (
    Abort,
    Ack,
    Cancel,
    Conflated,
    Credit,
    Done,
    End,
    Gap,
    InProgress,
    Ping,
    Pong,
    ProgramPosition,
    ReceiverReport,
    Replay,
    Resume,
    Signal,
)
from gateway.protocol.tensors import TensorSpec, payload_buffers, view_tensors
from gateway.protocol.transfers import Assembler, ChunkPlan, parse_chunk, write_chunk
from gateway.protocol.wire import (
    DATA_OPCODES,
    FLAG_ACK,
    FLAG_CHUNKED,
    FLAG_ENCODED,
    FLAG_EXTENDED,
    FLAG_FAILED,
    FLAG_MORE,
    JSON_OPCODES,
    Buffer,
    Opcode,
)

FOLDER: Final = Path(__file__).parents[2] / "spec" / "vectors"
SUMS: Final = FOLDER / "SHA256SUMS"

Description = dict[str, Any]

FLAGS: Final = {
    "ENCODED": FLAG_ENCODED,
    "CHUNKED": FLAG_CHUNKED,
    "ACK": FLAG_ACK,
    "FAILED": FLAG_FAILED,
    "EXTENDED": FLAG_EXTENDED,
    "MORE": FLAG_MORE,
}
LONG_FIELDS: Final = frozenset(
    {
        "offset",
        "timestamp_ns",
        "sequence",
        "first",
        "last",
        "t0",
        "t1",
        "t2",
        "decoded_bytes",
        "payload_bytes",
        "correlation",
        "nbytes",
        "decode_ns",
        "unread_bytes",
        "unread_ns",
    }
)
SIGNALS: Final[dict[int, type[Signal]]] = {
    signal.opcode: signal
    for signal in (
        Ack,
        Gap,
        End,
        Abort,
        Ping,
        Pong,
        Resume,
        Replay,
        Done,
        InProgress,
        Conflated,
        ReceiverReport,
        Credit,
        Cancel,
    )
}


@dataclass(frozen=True, slots=True)
class Vector:
    """One pair of files: the bytes of a WebSocket message and what they mean."""

    name: str
    message: bytes
    about: Description
    """``section``, ``about``, and either ``frames`` or ``error``; ``base`` with a delta."""

    @property
    def base(self) -> bytes | None:
        """The payload that a delta refers to."""
        return bytes.fromhex(self.about["base"]) if "base" in self.about else None


def load() -> list[Vector]:
    """Every vector of the repository, by name."""
    return [
        Vector(path.stem, path.with_suffix(".bin").read_bytes(), json.loads(path.read_text("utf-8")))
        for path in sorted(FOLDER.glob("*.json"))
    ]


# --- bytes to description -----------------------------------------------------------------------------------------


def describe(message: Buffer, *, base: Buffer | None = None) -> list[Description]:
    """What a WebSocket message says, decoded and put together.

    Raises:
        PeerError: as a receiver would answer it.
    """
    view = memoryview(message)
    frames: list[Description] = []
    transfers: dict[int, tuple[Assembler, Meta, Description]] = {}
    for frame in iter_frames(view):
        about = _start(frame)
        frames.append(about)
        if frame.opcode in JSON_OPCODES:
            parsed = parse_session(frame.opcode, body_of(view, frame))
            about["body"] = orjson.loads(orjson.dumps(fields_of(parsed)))
        elif frame.opcode in DATA_OPCODES:
            data = parse_data(view, frame)
            meta = parse_meta(data.meta)
            about.update(_describe_data(data, meta, base))
            if data.plan is not None:
                transfers[data.plan.transfer] = Assembler(data.plan), meta, about
        elif frame.opcode == Opcode.CHUNK:
            about["flags"] = flag_names(frame.flags)
            chunk = parse_chunk(view, frame)
            about.update(transfer=chunk.transfer, index=chunk.index)
            if chunk.encoding is not None:
                about["encoding"] = _describe_encoding(chunk.encoding)
            about["data"] = chunk.data.hex()
            if chunk.transfer in transfers:
                transfers[chunk.transfer][0].receive(chunk, base=base)
        elif frame.opcode in SIGNALS:
            signal = SIGNALS[frame.opcode].parse(view, frame)
            about.update(_describe_signal(signal))
            if isinstance(signal, End) and signal.transfer in transfers:
                assembler, meta, started = transfers.pop(signal.transfer)
                _describe_contents(started, meta, assembler.payload(), started.get("count"))
    return frames


def _describe_signal(signal: Signal) -> Description:
    """Its fields; those of ACK and END that have defaults only where they say something."""
    about: Description = {}
    for field in fields(signal):
        value = getattr(signal, field.name)
        if field.name == "positions":
            if value:
                about["positions"] = [longs_as_text(position._asdict()) for position in value]
        elif value != field.default:
            about[field.name] = (
                value if isinstance(value, str | bool) else longs_as_text({field.name: value})[field.name]
            )
    return about


def _start(frame: Frame) -> Description:
    if frame.opcode not in set(Opcode):
        raise RequestRefused(Code.UNKNOWN_MESSAGE_TYPE, f"opcode 0x{frame.opcode:02x}")
    return {"opcode": Opcode(frame.opcode).name, "frame_bytes": frame.end - frame.start}


def _describe_data(data: DataFrame, meta: Meta, base: Buffer | None) -> Description:
    about: Description = {"flags": flag_names(data.flags), "meta_units": len(data.meta) // 8}
    about.update(
        longs_as_text({name: getattr(data, name) for name in ("stream", "publisher", "offset", "timestamp_ns")})
    )
    count = None
    if data.opcode == Opcode.BATCH:
        about["count"] = count = data.count
    about["tensors"] = [
        {"name": spec.name, "dtype": dtype_name(spec.dtype), "shape": list(spec.shape)} for spec in meta.specs
    ]
    about["headers"] = meta.headers
    if data.extensions is not None:
        about["extensions"] = _describe_extensions(data.extensions)
    declared = meta.payload_bytes * data.count
    payload: Buffer = data.payload
    if data.plan is not None:
        if data.plan.payload_bytes != declared:
            raise RequestRefused(Code.SIZE_MISMATCH, f"{data.plan.payload_bytes} bytes, not {declared}")
        plan = data.plan
        about["plan"] = longs_as_text(
            {"transfer": plan.transfer, "chunk_bytes": plan.chunk_bytes, "payload_bytes": plan.payload_bytes}
        )
        return about
    if data.encoding is not None:
        if data.encoding.decoded_bytes != declared:
            raise RequestRefused(Code.SIZE_MISMATCH, f"{data.encoding.decoded_bytes} bytes, not {declared}")
        about["encoding"] = _describe_encoding(data.encoding)
        about["payload"] = data.payload.hex()
        payload = decode(data.encoding, payload, base=base)
    _describe_contents(about, meta, payload, count)
    return about


def _describe_contents(about: Description, meta: Meta, payload: Buffer, count: int | None) -> None:
    for tensor, array in zip(about["tensors"], view_tensors(meta.specs, payload, count=count), strict=True):
        tensor["data"] = array.tobytes().hex()


def _describe_extensions(extensions: Extensions) -> Description:
    about: Description = {}
    if extensions.region is not None:
        about["region"] = [[str(number) for number in extent] for extent in extensions.region]
    if extensions.deadline_ns is not None:
        about["deadline_ns"] = str(extensions.deadline_ns)
    if extensions.identity is not None:
        about["identity"] = [str(number) for number in extensions.identity]
    if extensions.quantized is not None:
        code, scale, zero_point = extensions.quantized
        about["quantized"] = {"dtype_code": code, "scale": scale, "zero_point": zero_point}
    if extensions.resuming:
        about["resuming"] = True
    return about


def _extensions_of(frame: Description) -> Extensions | None:
    about = frame.get("extensions")
    if about is None:
        return None
    region, deadline, identity = about.get("region"), about.get("deadline_ns"), about.get("identity")
    return Extensions(
        region=None if region is None else tuple(Extent(*map(int, extent)) for extent in region),
        deadline_ns=None if deadline is None else int(deadline),
        identity=None if identity is None else Identity(*map(int, identity)),
        quantized=Quantization(**about["quantized"]) if "quantized" in about else None,
        resuming=about.get("resuming", False),
    )


def _describe_encoding(encoding: Encoding) -> Description:
    return {"decoded_bytes": str(encoding.decoded_bytes), "steps": [list(step) for step in encoding.steps]}


def flag_names(flags: int) -> list[str]:
    """The names of the flags that are set."""
    return [name for name, bit in FLAGS.items() if flags & bit]


def longs_as_text(fields: Mapping[str, int]) -> Description:
    """The fields, those of 64 bits as strings."""
    return {name: str(value) if name in LONG_FIELDS else int(value) for name, value in fields.items()}


# --- description to bytes -----------------------------------------------------------------------------------------


def write(frames: Iterable[Description]) -> bytes:
    """The WebSocket message that a description is of. Ignores what follows from the rest, such as ``frame_bytes``."""
    return b"".join(part for frame in frames for part in _write_frame(frame))


def _write_frame(frame: Description) -> list[Buffer]:
    opcode = Opcode[frame["opcode"]]
    if opcode in JSON_OPCODES:
        return [write_session(parse_session(opcode, json.dumps(frame["body"]).encode()))]
    if opcode in DATA_OPCODES:
        return _write_data(opcode, frame)
    if opcode == Opcode.CHUNK:
        data = bytes.fromhex(frame["data"])
        return write_chunk(frame["transfer"], frame["index"], [data], _encoding_of(frame))
    return [_signal_of(SIGNALS[opcode], frame).write()]


def _signal_of(cls: type[Signal], frame: Description) -> Signal:
    values: dict[str, Any] = {}
    for field in fields(cls):
        if field.name in frame:
            value = frame[field.name]
            if field.name == "positions":
                values[field.name] = tuple([_position_of(position) for position in value])
                continue
            values[field.name] = Durability(value) if field.name == "durability" else value
            if field.name != "durability" and not isinstance(value, bool):
                values[field.name] = int(value)
    return cls(**values)


def _position_of(about: Description) -> ProgramPosition:
    return ProgramPosition(**{name: int(value) for name, value in about.items()})


def _write_data(opcode: Opcode, frame: Description) -> list[Buffer]:
    specs = [
        TensorSpec(tensor["name"], dtype_named(tensor["dtype"]), tuple(tensor["shape"])) for tensor in frame["tensors"]
    ]
    plan = frame.get("plan")
    payload: list[Buffer] = []
    if "payload" in frame:
        payload = [bytes.fromhex(frame["payload"])]
    elif plan is None:
        payload = payload_buffers(
            [
                np.frombuffer(bytes.fromhex(tensor["data"]), spec.dtype)
                for spec, tensor in zip(specs, frame["tensors"], strict=True)
            ]
        )
    return write_data(
        opcode,
        stream=frame["stream"],
        publisher=frame["publisher"],
        offset=int(frame["offset"]),
        timestamp_ns=int(frame["timestamp_ns"]),
        flags=sum(FLAGS[name] for name in frame["flags"]),
        meta=write_meta(specs, frame["headers"]),
        count=frame.get("count"),
        plan=plan and ChunkPlan(plan["transfer"], plan["chunk_bytes"], int(plan["payload_bytes"])),
        encoding=_encoding_of(frame),
        payload=payload,
        extensions=_extensions_of(frame),
    )


def _encoding_of(frame: Description) -> Encoding | None:
    encoding = frame.get("encoding")
    if encoding is None:
        return None
    return Encoding(int(encoding["decoded_bytes"]), tuple(CodecStep(*step) for step in encoding["steps"]))
