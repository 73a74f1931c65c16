"""Numbers and tensors for people."""

import numpy as np
import pytest

from gateway.cli import text
from gateway.protocol.tensors import TensorSpec

FLOAT32 = np.dtype("<f4")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.000083, "83 us"), (0.00124, "1.24 ms"), (2.5, "2.50 s"), (0.0, "0 us")]
)
def test_duration(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_size_and_rate_and_count() -> None:
    assert text.size(256_000_000) == "256.0 MB"
    assert text.rate(10, 4) == 2.5
    assert text.rate(10, 0) == 0
    assert (text.count(1, "message"), text.count(1024, "message")) == ("1 message", "1,024 messages")


def test_tensors() -> None:
    assert text.tensors([]) == "no tensor"
    assert text.tensors([TensorSpec("", FLOAT32, (64, 10))]) == "float32[64, 10]"
    assert text.tensors([TensorSpec("w", FLOAT32, (2,)), TensorSpec("b", FLOAT32, ())]) == "w float32[2] + b float32[]"


def test_a_peer_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in text.tensors([TensorSpec("\x1b[2J", FLOAT32, ())])
    assert text.printable("a\x1b[31m\nb") == "a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b"


def test_a_long_line_is_broken_between_words() -> None:
    line = "  because zstd-3 takes less than shuffle+zstd:1"
    assert text.wrapped(line, 80) == line
    assert text.wrapped(line, 24) == "  because zstd-3 takes\n      less than\n      shuffle+zstd:1"
    assert text.wrapped("shuffle+zstd:1", 3) == "shuffle+zstd:1"
