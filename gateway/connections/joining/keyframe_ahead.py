"""Keyframe ahead: the newest version of a state, encoded before the receivers come that are expected to join.

A receiver that joins gets the newest version at once, as it was published: to encode it then would take longer than
many links need for what that saves. When it is known that receivers are about to come, the version is encoded in time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import Final, NamedTuple, Protocol
from weakref import ref

from gateway.connections.fanout.recode import frame_of, transcode_chunk, transcode_run
from gateway.connections.fanout.transcoder import RECODE_BYTES
from gateway.connections.outbound.backfill import LargeForm
from gateway.connections.ports import Clock, DeliveryPolicy, Steps, Workers
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.meta import parse_meta
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.span import offsets_of
from gateway.streams.state import LargePatch, PatchRun
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 64 * 1024 * 1024
"""Size of the largest version that is encoded ahead."""

WORTH_IT: Final = 0.9
"""Size of a form over the version as it was published, below which the form is worth its memory."""
MAX_PROFILES: Final = 4
"""Profiles of receivers for which one stream is encoded ahead."""

AheadForm = Run | LargeForm


class Expectation(NamedTuple):
    """Receivers that are expected to join a stream."""

    begin_s: float
    """Time from which the newest version is kept encoded, by the clock that only goes forward."""
    end_s: float
    """Time until which it is."""
    profiles: tuple[ReceiverProfile, ...]
    """Profiles of those that have come before, one for each set of codecs."""


class DeliveredVersions(Protocol):
    """Versions of one state stream, as they are delivered."""

    @property
    def newest(self) -> Run | LargeMessage | None:
        """Newest version that has been delivered; ``None``: there is none."""


class KeyframeAhead:
    """Encoded forms of the newest version of one state stream.

    One version is encoded at a time, and none that is not the newest: if versions come faster, receivers get most of
    them as published, and the threads have that one piece of work.

    Args:
        source: the stream.
        versions: those that have been delivered.
        policy: knows the chain for each profile.
        workers: encode.
        clock: begins in time.
        futile: takes the chains that hardly make a version smaller, which are not used any more.

    Attributes:
        used: number of receivers that got a version as it was encoded ahead.
    """

    __slots__ = (
        "__weakref__",
        "_begins_s",
        "_clock",
        "_encoding",
        "_expected",
        "_forms",
        "_futile",
        "_offset",
        "_policy",
        "_source",
        "_tried",
        "_versions",
        "_workers",
        "used",
    )

    def __init__(
        self,
        source: Stream,
        versions: DeliveredVersions,
        policy: DeliveryPolicy,
        workers: Workers,
        clock: Clock,
        futile: set[Chain],
    ) -> None:
        self._source = source
        self._futile = futile
        self._policy = policy
        self._workers = workers
        self._clock = clock
        self._versions = versions
        self._expected: Expectation | None = None
        self._begins_s: float | None = None
        """Time for which a look is scheduled."""
        self._encoding = False
        self._offset = -1
        """Offset of the version that :attr:`_forms` are of."""
        self._forms: dict[frozenset[str], AheadForm] = {}
        """Forms for receivers that know these codecs."""
        self._tried: set[frozenset[str]] = set()
        """Sets of codecs for which that version was encoded, or need not be."""
        self.used = 0

    def expect(self, expected: Expectation | None) -> None:
        """Keep the newest version encoded while receivers are expected; ``None``: none are."""
        if expected is None or self._source.ended is not None:
            self._expected = None
            self._forget()
            return
        self._expected = expected
        for profile in expected.profiles:
            self._policy.chain_for(self._source, profile)  # it looks for chains of those that it is asked for
        now_s = self._clock.monotonic_s()
        if now_s >= expected.begin_s:
            self._renew()
            return
        self._forget()  # receivers of the wave before have come
        if self._begins_s != expected.begin_s:
            self._begins_s = expected.begin_s
            begin = partial(_begin, ref(self), expected.begin_s)
            self._clock.call_later(expected.begin_s - now_s, begin)

    def begin(self, begin_s: float) -> None:
        """Begin to encode, at a time that a look was scheduled for."""
        if self._begins_s == begin_s:
            self._begins_s = None
        self._renew()

    def came(self, message: Run | LargeMessage) -> None:
        """Take note of a version that has been delivered."""
        if self._offset != offsets_of(message)[1]:
            self._forms = {}  # memory of an old version
        self._renew()

    def form_of(self, version: Run | LargeMessage, codecs: frozenset[str]) -> AheadForm | None:
        """Return a version as it was encoded ahead for receivers that know these codecs; ``None``: it was not."""
        if not self._forms or self._offset != offsets_of(version)[1]:
            return None
        form = self._forms.get(codecs)
        self.used += form is not None
        return form

    def _renew(self) -> None:
        """Begin to encode the newest version, if receivers are expected now and it is not encoded yet."""
        expected, version, now_s = self._expected, self._versions.newest, self._clock.monotonic_s()
        if expected is None or version is None or self._encoding or self._source.ended is not None:
            return
        if now_s >= expected.end_s:
            self._forget()
            return
        if now_s < expected.begin_s or not is_worth_it(version):
            return
        offset = offsets_of(version)[1]
        if self._offset != offset:
            self._offset, self._forms, self._tried = offset, {}, set()
        wanted = {each.codecs: self._policy.chain_for(self._source, each) for each in expected.profiles}
        chains = {chain for codecs, chain in wanted.items() if codecs not in self._tried} - self._futile - {PLAIN}
        self._tried.update(wanted)
        if not chains:
            return
        self._encoding = True

        def done(made: dict[Chain, AheadForm] | BaseException) -> None:
            self._encoding = False
            if isinstance(made, BaseException):
                logger.warning("version %d of %s is not encoded ahead: %s", offset, self._source.name, made)
                return
            self._futile |= chains - made.keys()
            if self._offset == offset and self._expected is not None:
                self._forms |= {codecs: made[chain] for codecs, chain in wanted.items() if chain in made}
            self._renew()  # a newer version may have come meanwhile

        self._workers.submit(_encoded(version, chains), done)

    def _forget(self) -> None:
        self._offset, self._forms, self._tried = -1, {}, set()


def _begin(ahead: ref[KeyframeAhead], begin_s: float) -> None:
    """Begin to encode, unless nobody wants it any more: till then a timer must not keep versions in memory."""
    wanted = ahead()
    if wanted is not None:
        wanted.begin(begin_s)


def is_worth_it(version: Run | LargeMessage) -> bool:
    """Return whether a version is encoded ahead: a complete one, large, but not so large that it takes seconds."""
    if isinstance(version, PatchRun | LargePatch):
        return False  # it is merged first, on demand
    if isinstance(version, LargeMessage):
        return version.plan.payload_bytes <= MAX_BYTES
    return version.count == 1 and version.size >= RECODE_BYTES


def _encoded(version: Run | LargeMessage, chains: Iterable[Chain]) -> Steps[dict[Chain, AheadForm]]:
    """Encode a version by each of the chains, one chunk a step in a thread; those that save little are left out."""
    forms: dict[Chain, AheadForm] = {}
    for chain in chains:
        if isinstance(version, LargeMessage):
            element = parse_meta(version.meta).element
            chunks: list[StoredChunk] = []
            for chunk in version.chunks:
                chunks.append((yield partial(transcode_chunk, chunk, chain, element)))
            if sum([len(chunk.data) for chunk in chunks]) < WORTH_IT * version.received_bytes:
                forms[chain] = LargeForm(version, chunks)
        else:
            frame = frame_of(version)
            run: Run = yield partial(transcode_run, version, frame, chain, parse_meta(frame.meta).element)
            if run.size < WORTH_IT * version.size:
                forms[chain] = run
    return forms
