"""Invariant: numbers of every dtype come back bit by bit, and no file makes the decoder crash or allocate."""

from __future__ import annotations

import resource
import subprocess
import sys
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, PagingSpec, standalone

from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs.pco import Pco, _decompress
from gateway.protocol.dtypes import DTYPES, DTypeLike, code_of, dtype_name, dtype_named, dtype_of
from tests.protocol.strategies import Array, arrays, same_bits

PCO = Pco()
FLOAT64 = code_of(np.dtype("<f8"))
INT64 = code_of(np.dtype("<i8"))
HEADER = bytes.fromhex("70636f21 03 00")
"""Magic number, version, and no type that all chunks have."""

every_dtype = pytest.mark.parametrize("element", DTYPES, ids=dtype_name)


def coded(array: Array, level: int | None = None) -> bytes:
    return bytes(PCO.encode(array.tobytes(), level, PCO.parameter_for(array.dtype)))


def decoded(file: bytes, element: DTypeLike, count: int) -> Array:
    data = PCO.decode(file, count * element.itemsize, PCO.parameter_for(element))
    return np.frombuffer(data, np.uint8).view(element)


def outcome(file: bytes, decoded_bytes: int, parameter: int) -> int | Code:
    """Size of the result, or the code of the refusal."""
    try:
        return len(PCO.decode(file, decoded_bytes, parameter))
    except RequestRefused as refusal:
        return refusal.code


@given(array=arrays(max_ndim=3), level=st.sampled_from([None, 0, 4, 8, 12]))
def test_round_trip_of_any_bits(array: Array, level: int | None) -> None:
    assert same_bits(decoded(coded(array, level), array.dtype, array.size), array.reshape(-1))


@every_dtype
@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 200_000])
def test_round_trip_of_any_count(element: DTypeLike, count: int) -> None:
    walk = np.cumsum(np.random.default_rng(count).normal(size=count))
    array = (walk * (1 + 1j) if element.kind == "c" else walk.astype("i8") & 1).astype(element)
    assert same_bits(decoded(coded(array), element, count), array)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64", "complex64"])
def test_nan_infinity_and_minus_zero_keep_their_bits(name: str) -> None:
    size = dtype_named(name).itemsize
    words = np.repeat(np.random.default_rng(5).integers(0, 256, (512, min(size, 4)), np.uint8), 2, axis=0)
    words[::3, -2:] = [0xFF, 0x7F]
    array = np.frombuffer(words.tobytes(), dtype_named(name))
    assert same_bits(decoded(coded(array), array.dtype, array.size), array)


@pytest.mark.parametrize(("parameter", "rest"), [(code, rest) for code in (3, 8, 11, 13, 15) for rest in (1, 7, 15)])
def test_bytes_past_the_last_element_are_appended(parameter: int, rest: int) -> None:
    size = dtype_of(parameter).itemsize
    data = np.arange(3000, dtype="<u2").tobytes()[: 300 * size] + bytes(range(1, 1 + rest % size))
    file = bytes(PCO.encode(data, None, parameter))
    assert file.endswith(data[300 * size :])
    assert bytes(PCO.decode(file, len(data), parameter)) == data


def test_buffers_need_not_be_aligned() -> None:
    data = memoryview(b"x" + np.arange(1000.0).tobytes())[1:]
    file = memoryview(b"x" + bytes(PCO.encode(data, None, FLOAT64)))[1:]
    assert bytes(PCO.decode(file, len(data), FLOAT64)) == data


@pytest.mark.parametrize(
    ("name", "parameter"), [("bool", "uint8"), ("bfloat16", "bfloat16"), ("float32", "float32"), ("int8", "int8")]
)
def test_the_parameter_is_the_code_of_the_dtype(name: str, parameter: str) -> None:
    assert PCO.parameter_for(dtype_named(name)) == code_of(dtype_named(parameter))


def test_the_parts_of_complex_numbers_stand_apart() -> None:
    array = np.arange(500).astype(np.complex64) - 3j
    assert coded(array) == coded(np.concatenate([array.real, array.imag]))


def test_floats_that_hardly_repeat_a_byte_get_smaller() -> None:
    """What the codec is for: byte codecs make this walk 2 times smaller at most."""
    walk = np.round(np.cumsum(np.random.default_rng(0).normal(size=65_536)), 3)
    assert len(coded(walk, 4)) * 4 < walk.nbytes


# --- hostile files ------------------------------------------------------------------------------------------------


def header(count: int, width: int) -> bytes:
    """The header of a file of ``count`` numbers, whose count has ``width`` bits."""
    bits = count << 6 | width - 1
    return HEADER + bits.to_bytes(-(-(6 + width) // 8), "little") + bytes([4, 1])


def test_the_header_counts_the_numbers() -> None:
    for count in (0, 1, 1000, 70_000):
        file = coded(np.zeros(count))
        assert file.startswith(header(count, max(1, count.bit_length())))


@pytest.mark.parametrize(("count", "width"), [(999, 10), (1001, 10), (2**24, 25), (2**61, 62), (2**64 - 1, 64)])
def test_a_lying_count_is_refused_before_it_is_allocated(count: int, width: int) -> None:
    file = coded(np.zeros(1000))
    lying = header(count, width) + file[len(header(1000, 10)) :]
    tracemalloc.start()
    try:
        assert {outcome(lying, 8000, FLOAT64), outcome(lying, 8 * count, FLOAT64)} == {Code.CORRUPT_PAYLOAD}
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_file_of_another_type_is_refused() -> None:
    file = coded(np.arange(1000))
    others = [code for code in PCO.parameters if dtype_of(code).itemsize == 8 and code != INT64]
    assert {outcome(file, 8000, code) for code in others} == {Code.CORRUPT_PAYLOAD}


def test_what_a_file_holds_more_or_less_than_it_says_is_refused() -> None:
    start = len(header(1000, 10))
    more, less = coded(np.arange(1001)), coded(np.arange(999))
    for file in (more, less):
        assert outcome(header(1000, 10) + file[start:], 8000, INT64) == Code.CORRUPT_PAYLOAD


@given(rest=st.integers(0, 15), size=st.integers(0, 40), beginning=st.sampled_from([b"", HEADER, HEADER + bytes(1)]))
def test_what_is_shorter_than_its_rest_is_refused(rest: int, size: int, beginning: bytes) -> None:
    complex128 = code_of(np.dtype("<c16"))
    assert outcome((beginning + bytes(40))[:size], rest, complex128) == Code.CORRUPT_PAYLOAD


@pytest.mark.parametrize("more", [b"\0", b"\1", b"x\0", bytes(1000)])
def test_bytes_behind_the_end_of_a_file_are_refused(more: bytes) -> None:
    assert outcome(coded(np.arange(1000)) + more, 8000, INT64) == Code.CORRUPT_PAYLOAD


def in_chunks(*counts: int) -> bytes:
    """A file of zeros with chunks of these sizes."""
    config = ChunkConfig(paging_spec=PagingSpec.exact_page_sizes(list(counts)))
    return bytes(standalone.simple_compress(np.zeros(sum(counts), np.int64), config))


@pytest.mark.parametrize("counts", [[16384, 1], [16384, 16384], [100_000], [16384, 65536, 16383]])
def test_each_chunk_but_the_last_holds_many_numbers(counts: list[int]) -> None:
    assert outcome(in_chunks(*counts), 8 * sum(counts), INT64) == 8 * sum(counts)


@pytest.mark.parametrize("counts", [[1, 1], [16383, 16385], [65536, 100, 100], [1] * 2000])
def test_files_of_many_small_chunks_are_refused(counts: list[int]) -> None:
    """Each chunk may announce a table of 2^14 entries, in a few bytes and for a single number."""
    assert outcome(in_chunks(*counts), 8 * sum(counts), INT64) == Code.CORRUPT_PAYLOAD


@pytest.mark.parametrize("level", [0, 8, 12])
def test_parts_that_are_longer_than_what_is_looked_at_first_are_read(
    monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    noise = np.random.default_rng(4).integers(0, 100, 4 * 50_000).astype(np.uint8)
    monkeypatch.setattr("gateway.protocol.codecs.pco._MAX_PART_BYTES", 5 - 2 * 50_000)
    assert same_bits(decoded(coded(noise, level), noise.dtype, noise.size), noise)


@pytest.mark.parametrize("version", [0, 1, 2, 4, 255])
def test_other_versions_are_refused(version: int) -> None:
    file = bytearray(coded(np.arange(1000)))
    file[4] = version
    assert outcome(bytes(file), 8000, INT64) == Code.CORRUPT_PAYLOAD


def variants() -> list[tuple[int, int, bytes]]:
    """Files of every mode and difference that the format knows, with their parameter and size."""
    base = np.abs(np.cumsum(np.random.default_rng(1).normal(size=600))) * 3
    deltas = [DeltaSpec.no_op(), DeltaSpec.try_consecutive(2), DeltaSpec.try_lookback(), DeltaSpec.try_conv1(3)]
    modes = [ModeSpec.auto(), ModeSpec.try_dict(), ModeSpec.try_int_mult(3), ModeSpec.try_float_mult(0.5)]
    files = []
    for name, delta, mode in product(
        ("uint8", "int16", "uint32", "int64", "float16", "float32", "float64"), deltas, modes
    ):
        array = base.astype(name)
        config = ChunkConfig(compression_level=8, delta_spec=delta, mode_spec=mode, enable_8_bit=True)
        try:
            file = standalone.simple_compress(array, config)
        except RuntimeError:  # the mode is not for this type
            continue
        files.append((code_of(array.dtype), array.nbytes, file))
    return files


VARIANTS = variants()
_PLACES = st.integers(0, 2**16) | st.integers(len(HEADER), 60)


@given(
    variant=st.sampled_from(VARIANTS),
    changes=st.lists(
        st.tuples(st.integers(0, 2**16) | st.integers(6, 60), st.integers(0, 255)), min_size=1, max_size=4
    ),
    cut=st.none() | st.integers(0, 2**16),
)
def test_damaged_files_give_bytes_or_corrupt_payload(
    variant: tuple[int, int, bytes], changes: list[tuple[int, int]], cut: int | None
) -> None:
    parameter, decoded_bytes, file = variant
    damaged = bytearray(file)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    del damaged[len(damaged) if cut is None else cut % len(damaged) :]
    assert outcome(bytes(damaged), decoded_bytes, parameter) in (decoded_bytes, Code.CORRUPT_PAYLOAD)


def test_no_byte_of_a_header_or_a_chunk_makes_the_decoder_crash() -> None:
    """The fields are a few bits wide, so every byte takes every value of one bit, none and all."""
    for parameter, decoded_bytes, file in VARIANTS[::5]:
        for at in range(min(len(file), 80)):
            for byte in {file[at] ^ 1 << bit for bit in range(8)} | {0, 255}:
                damaged = file[:at] + bytes([byte]) + file[at + 1 :]
                assert outcome(damaged, decoded_bytes, parameter) in (decoded_bytes, Code.CORRUPT_PAYLOAD)


def chunk(count: int, *fields: tuple[int, int]) -> bytes:
    """The beginning of a chunk of int64, from its fields and their bits."""
    bits = width = 0
    for value, field_bits in fields:
        bits |= value << width
        width += field_bits
    return bytes([4]) + (count - 1).to_bytes(3, "little") + bits.to_bytes(-(-width // 8), "little")


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(chunk(65_536, (4, 4), (2**25 - 1, 25)), id="a dictionary of 2^25 numbers"),
        pytest.param(
            chunk(65_536, (0, 4), (2, 4), (23, 5), (0, 5), (0, 4), (1, 15), (1, 32), (0, 6), (0, 4), (1, 15), (0, 71)),
            id="a window of 2^24 numbers",
        ),
    ],
)
def test_what_a_chunk_announces_takes_no_memory(hostile: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert outcome(header(65_536, 17) + hostile + bytes(200), 65_536 * 8, INT64) in (65_536 * 8, Code.CORRUPT_PAYLOAD)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before * 1.5


def test_a_panic_of_the_library_is_corrupt_payload() -> None:
    numbers = np.zeros(1000, np.int64)
    numbers.flags.writeable = False
    with pytest.raises(RequestRefused, match="gave up") as caught:
        _decompress(coded(numbers), numbers)
    assert caught.value.code == Code.CORRUPT_PAYLOAD


def test_an_interrupt_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(file: bytes, numbers: Array) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("gateway.protocol.codecs.pco._read_chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        PCO.decode(coded(np.arange(1000)), 8000, INT64)


def test_without_its_library_it_is_not_offered() -> None:
    program = (
        "import sys; sys.modules['pcodec'] = None\n"
        "from gateway.protocol.codecs import CODEC_NAMES, is_compressor\n"
        "assert CODEC_NAMES == ('lz4', 'zstd', 'snappy'), CODEC_NAMES\n"
        "assert not is_compressor(4)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
