"""Registry of all codecs, by wire id and by name (spec section 10)."""

from __future__ import annotations

from typing import Final

from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs.abc import Compressor, Filter
from gateway.protocol.codecs.diff import Diff
from gateway.protocol.codecs.lz4 import Lz4
from gateway.protocol.codecs.none import NoneCodec
from gateway.protocol.codecs.shuffle import Shuffle
from gateway.protocol.codecs.snappy import Snappy
from gateway.protocol.codecs.xor import Xor
from gateway.protocol.codecs.zstd import Zstd

try:
    from gateway.protocol.codecs.pco import Pco
except (
    ImportError
):  # its library has wheels for x86-64 and ARM64, with glibc or on macOS; without it, `pco` is not offered
    _NUMBERS: tuple[Compressor, ...] = ()
else:
    _NUMBERS = (Pco(),)

NONE: Final[Compressor] = NoneCodec()
SHUFFLE: Final[Filter] = Shuffle()
XOR: Final[Filter] = Xor()

DELTAS: Final[dict[str, Filter]] = {
    step.name: step for step in (XOR, *(Diff(wire_id, 1 << power) for power, wire_id in enumerate(range(18, 22))))
}
"""The filters that need a base, by name: a chain has at most one of them, and only the server uses them."""

_COMPRESSORS: Final[tuple[Compressor, ...]] = (Lz4(), Zstd(), Snappy(), *_NUMBERS)

COMPRESSORS: Final = {codec.name: codec for codec in _COMPRESSORS}
"""The compressors without ``none``, by name, in the order in which a server prefers them."""

FILTERS: Final[dict[str, Filter]] = {step.name: step for step in (SHUFFLE, *DELTAS.values())}
"""The filters by name."""

CODEC_NAMES: Final = tuple(COMPRESSORS)
FILTER_NAMES: Final = tuple(FILTERS)

_COMPRESSOR_BY_ID: Final = {codec.id: codec for codec in (NONE, *COMPRESSORS.values())}
_FILTER_BY_ID: Final = {step.id: step for step in FILTERS.values()}


def is_compressor(step_id: int) -> bool:
    """Return whether a step of this id is a compressor, ``none`` included."""
    return step_id in _COMPRESSOR_BY_ID


def compressor_of(step_id: int) -> Compressor:
    """Return the compressor of a wire id; 0 is ``none``.

    Raises:
        RequestRefused: ``UNKNOWN_CODEC``.
    """
    try:
        return _COMPRESSOR_BY_ID[step_id]
    except KeyError:
        raise RequestRefused(Code.UNKNOWN_CODEC, f"unknown compressor id {step_id}") from None


def filter_of(step_id: int) -> Filter:
    """Return the filter of a wire id.

    Raises:
        RequestRefused: ``UNKNOWN_CODEC``.
    """
    try:
        return _FILTER_BY_ID[step_id]
    except KeyError:
        raise RequestRefused(Code.UNKNOWN_CODEC, f"unknown codec id {step_id}") from None
