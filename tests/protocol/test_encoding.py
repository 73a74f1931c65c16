"""Invariant: what any chain encodes decodes to the same bytes; whatever a peer sends gives bytes or an error code."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, PeerError, ProtocolViolation, RequestRefused
from gateway.protocol import encoding as encoding_module
from gateway.protocol.codecs import DELTAS
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import (
    PLAIN,
    Chain,
    CodecStep,
    Encoding,
    check_declared_size,
    decode,
    decode_into,
    encode,
    parse_encoding,
)
from gateway.protocol.wire import Buffer
from tests.protocol.strategies import Array, arrays, chains

RAMP = np.arange(5000, dtype="<i8")
PAYLOAD = RAMP.data.cast("B")

LZ4, ZSTD, SNAPPY, PCO, SHUFFLE, XOR, DIFF16, DIFF64 = 1, 2, 3, 4, 16, 17, 19, 21


def decoded_or_code(encoding: Encoding, data: Buffer, base: bytes | None) -> bytes | int:
    try:
        return bytes(decode(encoding, data, base=base))
    except PeerError as error:
        return error.code


def parsed_or_code(block: bytes) -> Encoding | int:
    try:
        return parse_encoding(block)
    except PeerError as error:
        return error.code


@given(
    decoded_bytes=st.integers(0, 2**64 - 1),
    filters=st.permutations([CodecStep(SHUFFLE, 4), CodecStep(XOR, 1)]).flatmap(
        lambda both: st.sampled_from([[], both[:1], both])
    ),
    codec=st.sampled_from(
        [[], [CodecStep(LZ4, 0)], [CodecStep(ZSTD, 0)], [CodecStep(SNAPPY, 0)], [CodecStep(PCO, 12)]]
    ),
    before=st.binary(max_size=9),
)
def test_the_block_round_trips(
    decoded_bytes: int, filters: list[CodecStep], codec: list[CodecStep], before: bytes
) -> None:
    encoding = Encoding(decoded_bytes, (*filters, *codec))
    assert len(encoding.write()) == 16
    assert parse_encoding(memoryview(before + encoding.write() + b"data"), len(before)) == encoding
    assert encoding.ids == {step.id for step in filters + codec}


def test_bytes_of_the_block() -> None:
    block = Encoding(1000, (CodecStep(XOR, 3), CodecStep(SHUFFLE, 8), CodecStep(ZSTD, 0))).write()
    assert block == b"\xe8\3\0\0\0\0\0\0" + b"\x11\3" + b"\x10\x08" + b"\2\0" + b"\0\0"


def test_what_stands_after_the_end_of_the_chain_is_ignored() -> None:
    assert parse_encoding(bytes(8) + b"\x01\0\0\0\x63\x63\x63\x63").steps == (CodecStep(LZ4, 0),)


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (b"\x05\0", "id 5"),
        (b"\x04\0", "pco has parameter 0"),
        (b"\x04\x10", "pco has parameter 16"),
        (b"\x04\x0c\x10\4", "pco is not the last"),
        (b"\xff\0", "id 255"),
        (b"\x01\1", "lz4 has parameter 1"),
        (b"\x10\0", "shuffle has parameter 0"),
        (b"\x10\1", "shuffle has parameter 1"),
        (b"\x10\x11", "shuffle has parameter 17"),
        (b"\x11\0", "xor has parameter 0"),
        (b"\x15\0", "diff64 has parameter 0"),
        (b"\x11\1\x14\1", "two delta filters"),
        (b"\x12\1\x10\4\x13\1\x01\0", "two delta filters"),
        (b"\x01\0\x02\0", "lz4 is not the last"),
        (b"\x02\0\x10\4", "zstd is not the last"),
        (b"\x10\4\x10\4", "twice"),
        (b"\x11\1\x10\4\x11\2", "twice"),
        (b"\x11\1\x10\4\x01\0\x01\0", "lz4 is not the last"),
    ],
)
def test_chains_that_break_the_rules(steps: bytes, problem: str) -> None:
    with pytest.raises(RequestRefused, match=problem) as caught:
        parse_encoding(bytes(8) + steps.ljust(8, b"\0"))
    assert caught.value.code == Code.UNKNOWN_CODEC


def test_a_block_that_is_cut_off() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        parse_encoding(bytes(20), 5)
    assert caught.value.code == Code.MALFORMED_FRAME


@given(
    chain=st.one_of(
        chains(),
        chains(delta=True),
        st.just(PLAIN),
        st.builds(Chain, st.booleans(), delta=st.sampled_from(sorted(DELTAS)), distance=st.integers(1, 255)),
    )
)
def test_chains_have_a_text(chain: Chain) -> None:
    assert Chain.parse(str(chain)) == chain


@pytest.mark.parametrize(
    ("text", "chain", "names"),
    [
        ("", PLAIN, set()),
        ("none", PLAIN, set()),
        ("shuffle", Chain(shuffle=True), {"shuffle"}),
        ("lz4:-8", Chain(codec="lz4", level=-8), {"lz4"}),
        ("shuffle+zstd:3", Chain(shuffle=True, codec="zstd", level=3), {"shuffle", "zstd"}),
        ("xor+snappy", Chain(codec="snappy", delta="xor", distance=1), {"xor", "snappy"}),
        ("xor:2+shuffle+lz4", Chain(shuffle=True, codec="lz4", delta="xor", distance=2), {"xor", "shuffle", "lz4"}),
        (
            "diff32:1+shuffle+zstd:3",
            Chain(shuffle=True, codec="zstd", level=3, delta="diff32", distance=1),
            {"diff32", "shuffle", "zstd"},
        ),
    ],
)
def test_texts_of_chains(text: str, chain: Chain, names: set[str]) -> None:
    assert Chain.parse(text) == chain
    assert chain.names == names


@pytest.mark.parametrize(
    "text",
    [
        "gzip",
        "lz4+shuffle",
        "shuffle+xor:1+lz4",
        "lz4+zstd",
        "shuffle:4+lz4",
        "zstd:x",
        "zstd:20",
        "zstd:-8",
        "lz4:13",
        "snappy:1",
        "pco:13",
        "pco:-1",
        "none:1",
        "xor:256+lz4",
        "xor:-1+lz4",
        "xor:a",
        "xor:0+lz4",
        "diff16:256+lz4",
        "diff24+lz4",
        "xor:1+diff32:1+lz4",
        "xor:1+xor:1+lz4",
        "+",
        "lz4+",
    ],
)
def test_texts_that_are_no_chain(text: str) -> None:
    with pytest.raises(InvalidArgument):
        Chain.parse(text)


@given(array=arrays(max_ndim=3), chain=st.one_of(chains(), chains(delta=True)), repeat=st.integers(1, 40))
def test_round_trip(array: Array, chain: Chain, repeat: int) -> None:
    payload = array.tobytes() * repeat
    base = payload[::-1] if chain.delta else None
    encoded = encode(chain, payload, array.dtype, base=base)
    if encoded is None:
        return
    encoding, data = encoded
    assert encoding.decoded_bytes == len(payload)
    assert len(data) + 16 < len(payload)
    assert parse_encoding(encoding.write()) == encoding
    check_declared_size(encoding, data)
    assert bytes(decode(encoding, data, base=base)) == payload
    out = memoryview(bytearray(len(payload)))
    decode_into(encoding, data, out, base=base)
    assert out == payload


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("lz4", [(LZ4, 0)]),
        ("shuffle+zstd:1", [(SHUFFLE, 8), (ZSTD, 0)]),
        ("xor:7+shuffle+snappy", [(XOR, 7), (SHUFFLE, 8), (SNAPPY, 0)]),
        ("diff64:255+lz4", [(DIFF64, 255), (LZ4, 0)]),
        ("pco", [(PCO, 5)]),
        ("pco:4", [(PCO, 5)]),
        ("shuffle+pco", [(SHUFFLE, 8), (PCO, 6)]),
        ("xor:2+pco", [(XOR, 2), (PCO, 9)]),
        ("diff64:2+pco", [(DIFF64, 2), (PCO, 5)]),
        ("diff16:2+pco", [(DIFF16, 2), (PCO, 3)]),
    ],
)
def test_the_chain_is_named_on_the_wire(text: str, steps: list[tuple[int, int]]) -> None:
    encoded = encode(Chain.parse(text), PAYLOAD, RAMP.dtype, base=bytes(PAYLOAD))
    assert encoded is not None
    assert encoded[0] == Encoding(RAMP.nbytes, tuple(CodecStep(*step) for step in steps))


def test_single_bytes_are_not_shuffled() -> None:
    encoded = encode(Chain(shuffle=True, codec="lz4"), bytes(1000), BYTE)
    assert encoded is not None
    assert encoded[0].steps == (CodecStep(LZ4, 0),)


@pytest.mark.parametrize("chain", [PLAIN, Chain(shuffle=True), Chain(delta="xor", distance=1)])
def test_a_chain_without_a_codec_encodes_nothing(chain: Chain) -> None:
    assert encode(chain, PAYLOAD, np.dtype("<u8")) is None


@pytest.mark.parametrize("payload", [b"", b"abc", bytes(20), np.random.default_rng(3).bytes(5000)])
@pytest.mark.parametrize("codec", ["lz4", "zstd", "snappy", "pco"])
def test_what_does_not_get_smaller_is_not_encoded(payload: bytes, codec: str) -> None:
    assert encode(Chain(codec=codec), payload, np.dtype("<u4")) is None


def test_deltas_need_their_base() -> None:
    chain = Chain(codec="lz4", delta="xor", distance=1)
    with pytest.raises(InvalidArgument, match="base"):
        encode(chain, PAYLOAD, np.dtype("<u8"))
    encoded = encode(chain, PAYLOAD, np.dtype("<u8"), base=bytes(PAYLOAD))
    assert encoded is not None
    assert decoded_or_code(*encoded, base=None) == Code.CORRUPT_PAYLOAD
    assert decoded_or_code(*encoded, base=b"short") == Code.CORRUPT_PAYLOAD


def test_a_chain_without_steps_gives_the_data_itself() -> None:
    assert decode(Encoding(len(PAYLOAD), ()), PAYLOAD) is PAYLOAD
    assert decoded_or_code(Encoding(7, ()), PAYLOAD, None) == Code.CORRUPT_PAYLOAD


@pytest.mark.parametrize("steps", [(), (CodecStep(SHUFFLE, 8),), (CodecStep(SHUFFLE, 8), CodecStep(LZ4, 0))])
def test_decode_into_room_of_another_size(steps: tuple[CodecStep, ...]) -> None:
    for room in (0, len(PAYLOAD) - 1, len(PAYLOAD) + 1):
        with pytest.raises(RequestRefused) as caught:
            decode_into(Encoding(len(PAYLOAD), steps), PAYLOAD, memoryview(bytearray(room)))
        assert caught.value.code == Code.CORRUPT_PAYLOAD


STEPS = st.lists(
    st.one_of(
        st.builds(CodecStep, st.just(SHUFFLE), st.integers(2, 16)),
        st.builds(CodecStep, st.sampled_from([0, LZ4, ZSTD, SNAPPY]), st.just(0)),
        st.builds(CodecStep, st.just(XOR), st.integers(1, 255)),
        st.builds(CodecStep, st.integers(0, 255), st.integers(0, 255)),
    ),
    max_size=4,
)


@given(
    decoded_bytes=st.one_of(st.integers(0, 3000), st.integers(0, 2**64 - 1)),
    steps=STEPS,
    data=st.binary(max_size=300),
    base=st.none() | st.binary(max_size=300),
)
def test_random_bytes_only_give_documented_errors(
    decoded_bytes: int, steps: list[CodecStep], data: bytes, base: bytes | None
) -> None:
    encoding = parsed_or_code(Encoding(decoded_bytes, tuple(steps)).write())
    if not isinstance(encoding, Encoding):
        assert encoding == Code.UNKNOWN_CODEC
        return
    decoded = decoded_or_code(encoding, data, base)
    assert decoded == Code.CORRUPT_PAYLOAD or (isinstance(decoded, bytes) and len(decoded) == decoded_bytes)


class Panic(BaseException):
    """As libraries in Rust raise it."""


class FailingCodec:
    """A codec that does anything but what it should."""

    def __init__(self, fault: BaseException | bytes) -> None:
        self.name = "failing"
        self.fault = fault

    def fail(self, *_: object) -> bytes:
        if isinstance(self.fault, BaseException):
            raise self.fault
        return self.fault

    check_size = decode = decode_into = fail


FAULTS = [IndexError("x"), ValueError(), MemoryError(), RecursionError(), AssertionError(), OSError(5, "x"), Panic("x")]


@given(
    fault=st.sampled_from(FAULTS) | st.binary(max_size=len(PAYLOAD) - 1) | st.just(bytes(len(PAYLOAD) + 1)),
    chain=st.sampled_from([Chain(codec="lz4"), Chain(True, "zstd"), Chain(False, "snappy", None, "xor", 3)]),
    filters=st.booleans(),
)
def test_whatever_a_codec_raises_or_returns_is_a_corrupt_payload(
    fault: BaseException | bytes, chain: Chain, filters: bool
) -> None:
    filters = filters and len(chain.steps(RAMP.dtype)) > 1 and isinstance(fault, BaseException)
    encoded = encode(chain, PAYLOAD, RAMP.dtype, base=PAYLOAD)
    assert encoded is not None
    failing = FailingCodec(fault)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding_module, "filter_of" if filters else "compressor_of", lambda _: failing)
        into = partial(decode_into, out=memoryview(bytearray(len(PAYLOAD))))
        for act in (decode, into):
            with pytest.raises(RequestRefused) as caught:
                act(*encoded, base=PAYLOAD)
            assert caught.value.code == Code.CORRUPT_PAYLOAD
            if isinstance(fault, BaseException):
                assert type(fault).__name__ in caught.value.message
        if isinstance(fault, BaseException) and not filters:
            with pytest.raises(RequestRefused, match=f"failing fails on data declared as {len(PAYLOAD)} bytes"):
                check_declared_size(*encoded)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), SystemExit(), RequestRefused(Code.UNKNOWN_CODEC, "mine")])
def test_what_no_codec_has_raised_of_itself_passes(fault: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding_module, "compressor_of", lambda _: FailingCodec(fault))
    monkeypatch.setattr(encoding_module, "filter_of", lambda _: FailingCodec(fault))
    encoding = Encoding(8, (CodecStep(SHUFFLE, 4), CodecStep(LZ4, 0)))
    for act in (check_declared_size, decode):
        with pytest.raises(type(fault)) as caught:
            act(encoding, bytes(8))
        assert caught.value is fault


@given(block=st.binary(max_size=20))
def test_random_blocks_only_give_documented_errors(block: bytes) -> None:
    encoding = parsed_or_code(block)
    if isinstance(encoding, Encoding):
        assert parse_encoding(encoding.write()) == encoding
    else:
        assert encoding == (Code.MALFORMED_FRAME if len(block) < 16 else Code.UNKNOWN_CODEC)


@pytest.mark.parametrize(
    ("steps", "distance"),
    [((), 0), (((LZ4, 0),), 0), (((XOR, 3), (LZ4, 0)), 3), (((DIFF64, 200), (SHUFFLE, 8), (ZSTD, 0)), 200)],
)
def test_the_base_of_a_delta_is_so_many_offsets_before(steps: tuple[tuple[int, int], ...], distance: int) -> None:
    encoding = Encoding(8, tuple(CodecStep(*step) for step in steps))
    assert encoding.distance == distance
    assert encoding.ids == {step_id for step_id, _ in steps}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"codec": "gzip"}, "unknown codec 'gzip'; known are none, lz4, zstd, snappy, pco"),
        ({"codec": "lz4", "level": 13}, "lz4 has no level 13; allowed are -64 to 12"),
        ({"codec": "pco", "level": 13}, "pco has no level 13; allowed are 0 to 12"),
        ({"codec": "snappy", "level": 1}, "snappy has no level 1; allowed are none at all"),
        ({"delta": "diff24", "distance": 1}, "unknown delta filter 'diff24'"),
        ({"delta": "xor", "distance": 256}, "xor to the version 256 before"),
        ({"distance": 1}, "no delta to the version 1 before"),
    ],
)
def test_a_chain_that_no_encoder_can_follow(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        Chain(**fields)
