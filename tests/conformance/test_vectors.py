"""Python reads and writes exactly the golden bytes of ``spec/vectors``; and the golden bytes never change."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Code, PeerError
from gateway.protocol.codecs import COMPRESSORS, FILTERS
from gateway.protocol.dtypes import DTYPES, dtype_name
from gateway.protocol.wire import Opcode, padded
from tests.conformance.add_vectors import add_vectors, recorded_sums, sums_of
from tests.conformance.vectors import FLAGS, FOLDER, SUMS, Vector, describe, load, write

VECTORS = load()
GOOD = [pytest.param(vector, id=vector.name) for vector in VECTORS if "frames" in vector.about]
BAD = [pytest.param(vector, id=vector.name) for vector in VECTORS if "error" in vector.about]


@pytest.mark.parametrize("vector", GOOD)
def test_reads(vector: Vector) -> None:
    assert describe(vector.message, base=vector.base) == vector.about["frames"]


@pytest.mark.parametrize("vector", GOOD)
def test_writes(vector: Vector) -> None:
    assert write(vector.about["frames"]) == vector.message


@pytest.mark.parametrize("vector", GOOD)
def test_reads_from_the_middle_of_a_buffer(vector: Vector) -> None:
    buffer = memoryview(b"12345678" + vector.message + b"12345678")
    assert describe(buffer[8 : 8 + len(vector.message)], base=vector.base) == vector.about["frames"]


@pytest.mark.parametrize("vector", BAD)
def test_refuses(vector: Vector) -> None:
    with pytest.raises(PeerError) as caught:
        describe(vector.message, base=vector.base)
    assert Code(caught.value.code).name == vector.about["error"]


@pytest.mark.parametrize("vector", GOOD)
def test_cut_off_anywhere_is_refused(vector: Vector) -> None:
    boundaries = {0}
    for frame in vector.about["frames"]:
        boundaries.add(max(boundaries) + padded(frame["frame_bytes"]))
    for size in range(0, len(vector.message), 1 + len(vector.message) // 100):
        if size not in boundaries or not size:
            with pytest.raises(PeerError):
                describe(vector.message[:size], base=vector.base)


# --- what they cover ----------------------------------------------------------------------------------------------


def frames() -> Iterator[dict[str, Any]]:
    for vector in VECTORS:
        yield from vector.about.get("frames", [])


def test_every_opcode() -> None:
    assert {frame["opcode"] for frame in frames()} == {opcode.name for opcode in Opcode}


def test_every_flag() -> None:
    assert {flag for frame in frames() for flag in frame.get("flags", [])} == set(FLAGS)


def test_every_dtype() -> None:
    found = {tensor["dtype"] for frame in frames() for tensor in frame.get("tensors", [])}
    assert found == {dtype_name(dtype) for dtype in DTYPES}


def test_every_codec_and_filter() -> None:
    found = {step for frame in frames() if "encoding" in frame for step, _ in frame["encoding"]["steps"]}
    assert found == {codec.id for codec in COMPRESSORS.values()} | {step.id for step in FILTERS.values()}


# --- the append-only law ------------------------------------------------------------------------------------------


def test_recorded_sums_are_those_of_the_files() -> None:
    assert recorded_sums(SUMS) == sums_of(FOLDER)


def test_every_vector_is_a_pair() -> None:
    names = [Path(name) for name in sums_of(FOLDER)]
    assert {name.stem for name in names if name.suffix == ".bin"} == {vector.name for vector in VECTORS}
    assert all(("frames" in vector.about) != ("error" in vector.about) for vector in VECTORS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "vectors"))


def test_every_definition_is_recorded(folder: Path) -> None:
    assert add_vectors(folder, folder / SUMS.name) == []
    assert (folder / SUMS.name).read_bytes() == SUMS.read_bytes()


def test_missing_vector_is_added_and_nothing_else_is_written(folder: Path) -> None:
    sums = folder / SUMS.name
    sums.write_text("".join(line for line in SUMS.read_text("ascii").splitlines(keepends=True) if " ping." not in line))
    for suffix in (".bin", ".json"):
        (folder / f"ping{suffix}").unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path != sums}
    assert add_vectors(folder, sums) == ["ping"]
    assert sums_of(folder) == sums_of(FOLDER)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("content", [b"changed", None])
def test_change_is_refused(folder: Path, content: bytes | None) -> None:
    ping = folder / "ping.bin"
    ping.unlink()
    if content is not None:
        ping.write_bytes(content)
    with pytest.raises(ValueError, match=r"changed or gone, bring them back first: ping\.bin"):
        add_vectors(folder, folder / SUMS.name)
