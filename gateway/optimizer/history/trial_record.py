"""Layout of shadow trials in files and pipes: records of a kind of their own beside traffic records."""

from __future__ import annotations

import math
import struct
from typing import Final

from gateway.optimizer.history.layout import (
    HEADER,
    TRIAL_KIND,
    BadRecord,
    framed,
    known,
    packed_planes,
    packed_shape,
    packed_text,
    planes_at,
    real,
    shape_at,
    texts_at,
    whole,
)
from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial, TriedChain

MAX_TRIED: Final = 64
"""Outcomes that the layout has room for."""

_NUMBERS: Final = struct.Struct("<QQBBB4f")
_OUTCOME: Final = struct.Struct("<Qff")


def pack_trial(trial: ShadowTrial) -> bytes:
    """Return a trial as bytes, header included. Values that the layout has no room for are cut to its bounds."""
    features, tried = trial.features, trial.tried[:MAX_TRIED]
    numbers = _NUMBERS.pack(
        whole(trial.time_ns),
        whole(trial.sample_bytes),
        trial.based,
        trial.drifted,
        len(tried),
        real(trial.cpu_s),
        real(features.zero_share),
        real(features.unchanged_share),
        real(features.repeated_share),
    )
    texts = trial.stream, trial.view, trial.dtype, *[each.chain for each in tried]
    outcomes = [_OUTCOME.pack(whole(each.encoded_bytes), real(each.encode_s), real(each.decode_s)) for each in tried]
    parts = numbers, packed_shape(trial.shape), packed_planes(features), *map(packed_text, texts), *outcomes
    return framed(TRIAL_KIND, b"".join(parts))


def unpack_trial(data: bytes, at: int, size: int) -> ShadowTrial:
    """Return the trial in a piece of ``data`` that :func:`~gateway.optimizer.history.layout.checked_size` has found
    to be sound.

    Raises:
        BadRecord: its fields cannot be read.
    """
    try:
        return _unpack(data[at + HEADER.size : at + size])
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise BadRecord(f"shadow trial of {size} bytes cannot be read: {error}") from error


def _unpack(body: bytes) -> ShadowTrial:
    time_ns, sample_bytes, based, drifted, count, cpu_s, *shares = _NUMBERS.unpack_from(body)
    shape, at = shape_at(body, _NUMBERS.size)
    planes, at = planes_at(body, at)
    (stream, view, dtype, *chains), at = texts_at(body, at, 3 + count)
    outcomes = [_OUTCOME.unpack_from(body, at + number * _OUTCOME.size) for number in range(count)]
    tried = [
        TriedChain(chain, encoded_bytes, *seconds)
        for chain, (encoded_bytes, *seconds) in zip(chains, outcomes, strict=True)
        if all(map(math.isfinite, seconds))
    ]
    zero_share, unchanged_share, repeated_share = map(known, shares)
    return ShadowTrial(
        time_ns=time_ns,
        stream=stream,
        view=view,
        dtype=dtype,
        shape=shape,
        sample_bytes=sample_bytes,
        based=bool(based),
        drifted=bool(drifted),
        cpu_s=known(cpu_s) or 0.0,
        tried=tuple(tried),
        features=PayloadFeatures(
            zero_share=zero_share,
            unchanged_share=unchanged_share,
            repeated_share=repeated_share,
            plane_entropy_bits=planes,
        ),
    )
