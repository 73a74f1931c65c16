"""Files of arrays: mapped, never unpickled, and written under safe names."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.cli.array_file import Recorder, path_of, read_arrays
from gateway.cli.exit_code import CommandFailed, ExitCode
from gateway.client import Message
from gateway.protocol.names import check_stream_name
from gateway.protocol.tensors import Array
from tests.cli.messages import PUBLISHED_NS, message

NOTHING = io.BytesIO()


def test_an_array_is_mapped(tmp_path: Path) -> None:
    array = np.arange(12, dtype=">f4").reshape(3, 4)
    np.save(tmp_path / "a.npy", array)
    read = read_arrays(str(tmp_path / "a.npy"), NOTHING)
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("array", [np.float32(3).reshape(()), np.zeros((0, 3))], ids=["scalar", "empty"])
def test_shapes_without_a_body(array: Array, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    read = read_arrays(str(tmp_path / "a.npy"), NOTHING)
    assert isinstance(read, np.ndarray)
    assert (read.shape, read.dtype) == (array.shape, array.dtype)


def test_several_arrays_have_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3), b=np.zeros(2))
    read = read_arrays(str(tmp_path / "a.npz"), NOTHING)
    assert isinstance(read, dict)
    assert {name: array.shape for name, array in read.items()} == {"w": (3,), "b": (2,)}


def test_standard_input() -> None:
    stdin = io.BytesIO()
    np.save(stdin, np.arange(4))
    stdin.seek(0)
    np.testing.assert_array_equal(np.asarray(read_arrays("-", stdin)), np.arange(4))


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x93NUMPY", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x40\x00{'descr': '<f4', 'fortran_order': False"],
    ids=["empty", "text", "cut off", "no archive", "cut off header"],
)
def test_a_file_without_arrays_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(CommandFailed, match=r"a\.npy: not a usable") as failed:
        read_arrays(str(tmp_path / "a.npy"), NOTHING)
    assert failed.value.code is ExitCode.FAILURE
    assert "pickle" not in str(failed.value)


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([1, "a"], object))
    with pytest.raises(CommandFailed, match="Python objects"):
        read_arrays(str(tmp_path / "a.npy"), NOTHING)


def test_a_tensor_is_saved_under_stream_and_offset(tmp_path: Path) -> None:
    sent = message("wf-42/weights", offset=7)
    path = Recorder(tmp_path).save(sent)
    assert path == tmp_path / "wf-42" / "weights@00000007.npy"
    np.testing.assert_array_equal(np.load(path), sent.tensor)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_several_tensors_are_saved_by_name(tmp_path: Path) -> None:
    # Names that numpy, or a file system, would take for something else.
    tensors: dict[str, Array] = {"file": np.ones(2), "../../x": np.zeros(3), "": np.arange(1)}
    path = Recorder(tmp_path).save(message(tensors=tensors))
    assert path is not None
    with np.load(path) as archive:
        assert {name: array.shape for name, array in archive.items()} == {"file": (2,), "..%2F..%2Fx": (3,), "": (1,)}


def of_epoch(epoch: int, count: int) -> list[Message]:
    """Messages of one stream, with values that tell epoch and offset."""
    values = [10 * epoch + n for n in range(count)]
    return [
        message("wf/a", {"": np.array(value)}, offset=n, epoch=epoch, timestamp_ns=PUBLISHED_NS + value)
        for n, value in enumerate(values)
    ]


@pytest.mark.parametrize("restarted", [False, True], ids=["while it runs", "later"])
def test_a_stream_that_begins_again_keeps_the_files_of_its_earlier_messages(restarted: bool, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    paths = [recorder.save(each) for each in of_epoch(5, 2)]
    if restarted:
        recorder = Recorder(tmp_path)
    paths += [recorder.save(each) for each in of_epoch(6, 3)]
    assert {path.name: int(np.load(path)) for path in paths if path is not None} == {
        "a@00000000.npy": 50,
        "a@00000001.npy": 51,
        "a@6@00000000.npy": 60,
        "a@6@00000001.npy": 61,
        "a@6@00000002.npy": 62,
    }


def test_a_message_that_is_saved_twice_has_one_file(tmp_path: Path) -> None:
    sent = message("wf/a", offset=3)
    assert {Recorder(tmp_path).save(sent) for _ in range(3)} == {tmp_path / "wf" / "a@00000003.npy"}


def test_nothing_to_save(tmp_path: Path) -> None:
    assert Recorder(tmp_path).save(message(tensors={})) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stream", ["../../etc/x", "wf/..", "./..", "../.", "a/./../b"])
def test_no_name_leads_out_of_the_directory(stream: str, tmp_path: Path) -> None:
    path = path_of(tmp_path, message(stream))
    assert path.resolve() == path
    assert path.is_relative_to(tmp_path)


SEGMENTS = st.from_regex(r"[A-Za-z0-9._-]{1,253}", fullmatch=True).filter(lambda name: name not in (".", ".."))
NAMES = st.lists(SEGMENTS, min_size=2, max_size=4).map("/".join).filter(lambda name: len(name) <= 255)


@given(name=NAMES, offset=st.integers(0, 2**63 - 1), several=st.booleans())
@example(name="a/" + "b" * 253, offset=2**63 - 1, several=True)
@example(name="a" * 253 + "/b", offset=0, several=False)
def test_every_valid_name_can_be_saved(name: str, offset: int, several: bool) -> None:
    tensors: dict[str, Array] | None = {"a": np.ones(2), "b" * 255: np.zeros(3)} if several else None
    with TemporaryDirectory() as directory:
        path = Recorder(Path(directory)).save(message(check_stream_name(name), tensors, offset=offset))
        assert path is not None
        assert path.is_file()


def test_long_names_with_a_common_start_have_different_files(tmp_path: Path) -> None:
    names = [f"a/{'b' * 252}{end}" for end in "xyz"]
    assert len({path_of(tmp_path, message(name)) for name in names}) == len(names)


def test_different_streams_have_different_files(tmp_path: Path) -> None:
    names = ["a/b", "a/b/c", "../b", "./b", "a/..b", "..a/b"]
    assert len({path_of(tmp_path, message(name)) for name in names}) == len(names)
