"""Stored trials: what chains make of payloads that were stored, also chains that the gateway has never tried.

Offline: programs make them, the gateway does not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence

from gateway.errors import FrysError
from gateway.optimizer.candidates import candidates
from gateway.optimizer.history.features import features_of
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord, TriedChain
from gateway.optimizer.payloads.stored_payload import StoredPayload
from gateway.optimizer.shadow.trying import try_chains
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.dtypes import DTypeLike, dtype_named
from gateway.protocol.encoding import Chain

logger = logging.getLogger(__name__)


def stored_trials(payloads: Iterable[StoredPayload], chains: Sequence[Chain]) -> Iterator[ShadowTrial]:
    """Yield a trial of each payload: of its candidates, and of some chains besides.

    Args:
        payloads: of a dtype that is not known are left out with a warning.
        chains: those that a dtype does not have are left out of its trials.
    """
    for payload in payloads:
        described = payload.description
        try:
            element = dtype_named(described.element)
        except FrysError as error:
            logger.warning("a payload of %s is left out: %s", described.stream, error)
            continue
        begin_s = time.thread_time()
        tried = tuple(_tried(payload, element, chains))
        yield ShadowTrial(
            time_ns=described.time_ns,
            stream=described.stream,
            view=described.view,
            dtype=described.dtype,
            shape=described.shape,
            sample_bytes=len(payload.sample),
            based=bool(payload.base),
            cpu_s=time.thread_time() - begin_s,
            tried=tried,
            features=features_of(payload.sample, element.itemsize, payload.base or None),
        )


def on_stored(
    events: Iterable[TrafficRecord | ShadowTrial], trials: Sequence[ShadowTrial]
) -> list[TrafficRecord | ShadowTrial]:
    """Return the records of the streams that have stored trials, with these in place of those that the gateway made.

    Args:
        events: a traffic history.
        trials: stored trials.
    """
    places = {(trial.stream, trial.view) for trial in trials}
    records = [event for event in events if isinstance(event, TrafficRecord) and (event.stream, event.view) in places]
    return sorted([*records, *trials], key=lambda event: event.time_ns)


def _tried(payload: StoredPayload, element: DTypeLike, chains: Sequence[Chain]) -> Iterator[TriedChain]:
    names, described = (*CODEC_NAMES, *FILTER_NAMES), payload.description
    usual = candidates(element, names, integers=described.integers, based=bool(payload.base))
    for chain in dict.fromkeys([*usual, *chains]):
        try:
            yield from try_chains([chain], payload.sample, element, payload.base or None, time.thread_time)
        except FrysError as error:
            logger.info("%s is not tried on a payload of %s: %s", chain, described.stream, error)
