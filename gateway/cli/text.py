"""Numbers and tensors as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich import filesize

from gateway.protocol.dtypes import dtype_name
from gateway.protocol.tensors import TensorSpec


def size(byte_count: float) -> str:
    """Return a size with its unit: ``12.3 MB``."""
    return filesize.decimal(int(byte_count))


def rate(amount: float, seconds: float) -> float:
    """Return an amount per second; 0 if no time has passed."""
    return amount / seconds if seconds > 0 else 0.0


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 message``, ``1,024 messages``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a duration with its unit: ``83 us``, ``1.24 ms``, ``2.50 s``."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def tensors(specs: Sequence[TensorSpec]) -> str:
    """Return tensors as text: ``float32[64, 10]``, ``w float32[64, 10] + b float32[10]``, ``no tensor``."""
    return " + ".join(_tensor(spec) for spec in specs) or "no tensor"


def _tensor(spec: TensorSpec) -> str:
    described = f"{dtype_name(spec.dtype)}{list(spec.shape)}"
    return f"{printable(spec.name)} {described}" if spec.name else described


def wrapped(line: str, columns: int) -> str:
    """Return a line in as many as it takes, broken between words; further ones are indented by four more than it."""
    indent = " " * (len(line) - len(line.lstrip()))
    broken = textwrap.wrap(
        line.strip(),
        max(columns, 1),
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(broken)


def printable(text: str) -> str:
    """Return text of a peer without control characters and escape sequences, which a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
