"""Compressors and filters, one a file (spec section 10); ``encoding.py`` combines them to chains."""

from gateway.protocol.codecs.abc import Compressor, Filter
from gateway.protocol.codecs.registry import (
    CODEC_NAMES,
    COMPRESSORS,
    DELTAS,
    FILTER_NAMES,
    FILTERS,
    NONE,
    SHUFFLE,
    XOR,
    compressor_of,
    filter_of,
    is_compressor,
)

__all__ = [
    "CODEC_NAMES",
    "COMPRESSORS",
    "DELTAS",
    "FILTERS",
    "FILTER_NAMES",
    "NONE",
    "SHUFFLE",
    "XOR",
    "Compressor",
    "Filter",
    "compressor_of",
    "filter_of",
    "is_compressor",
]
