"""Transcoder: chooses the encoding in which each delivery class gets a message, and has the message encoded.

Most classes get a message as it was published. It is decoded for classes that do not know its codec, and encoded where
the policy says that this pays: once for each chain, in a thread if it is large. The fan-out delivers the result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import thread_time
from typing import Any

from gateway.connections.fanout.broadcast import Broadcast
from gateway.connections.fanout.delivery_class import DeliveryClass, Flusher
from gateway.connections.fanout.delta_encoder import DeltaEncoder, count_delta, decoded_bytes, delta_run
from gateway.connections.fanout.encode_queue import EncodeQueue
from gateway.connections.fanout.form import is_brief, texts_in
from gateway.connections.fanout.patch_merger import takes_patches
from gateway.connections.fanout.recode import NOT_PUBLISHED, THREAD_BYTES, codec_names, recodable_bytes, transcode_run
from gateway.connections.fanout.version_tracker import resting_of
from gateway.connections.outbound.formats import UnchunkedFormat
from gateway.connections.ports import DeliveryPolicy, EncodingOutcome, Sample, Steps
from gateway.errors import RequestRefused
from gateway.protocol.data import DataFrame
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import PLAIN, Chain, Encoding
from gateway.protocol.wire import Buffer
from gateway.streams.large import StoredChunk
from gateway.streams.plain_payload import PlainPayload
from gateway.streams.run import Run, Source
from gateway.streams.state import LargePatch
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

RECODE_BYTES = 16 * 1024
"""Smaller payloads are delivered as published."""

TEXTS_A_PIECE = 1024
"""Messages of a run whose text takes a thread as long as a usual piece of work: some 10 ms."""


class Transcoder:
    """Transcoder of one source.

    Args:
        source: the stream or inbox.
        policy: chooses chains; asked for streams only.
        queue: keeps the order while messages are encoded.
        deltas: of a state stream, encodes versions as deltas.
        flusher: flushes the delivery classes at the end of the turn.
    """

    __slots__ = ("_deltas", "_flusher", "_policy", "_queue", "_source")

    def __init__(
        self,
        source: Source,
        policy: DeliveryPolicy,
        queue: EncodeQueue,
        deltas: DeltaEncoder | None,
        flusher: Flusher,
    ) -> None:
        self._flusher = flusher
        self._source = source
        self._policy = policy
        self._queue = queue
        self._deltas = deltas

    # Choice of encodings.

    @property
    def tells_apart(self) -> bool:
        """Whether it pays to tell receivers with the same codecs apart by link tier and SDK."""
        return isinstance(self._source, Stream) and self._policy.tells_apart(self._source)

    def chains_for(
        self,
        classes: Collection[DeliveryClass],
        names: frozenset[str],
        payload: Buffer,
        element: DTypeLike,
        meta: Buffer,
        encoding: Encoding | None = None,
    ) -> dict[DeliveryClass, Chain]:
        """Return the chains for the classes that do not get a payload as it was published.

        Args:
            classes: the delivery classes of the source.
            names: of the codecs by which the payload is encoded.
            payload: the policy may take a sample of it, if it is large enough.
            element: dtype of the elements.
            meta: its meta block.
            encoding: of the payload; ``None``: it is plain.
        """
        is_large = decoded_bytes(payload, encoding) >= RECODE_BYTES
        if is_large:
            self.observe(payload, element, meta, encoding)
        chains: dict[DeliveryClass, Chain] = {}
        size = recodable_bytes(payload, encoding)
        for delivery in classes:
            chain = self.chain_for(delivery, names, size)
            if chain is not None:
                chains[delivery] = chain
        if is_large:
            chains.update(self._delta_chains(classes))
        return chains

    def chain_for(self, delivery: DeliveryClass, names: frozenset[str], payload_bytes: int) -> Chain | None:
        """Return the chain for one class, deltas left aside; ``None``: the class gets the payload as it was published.

        Args:
            delivery: the class.
            names: of the codecs by which the payload is encoded.
            payload_bytes: size of the payload as it was published.
        """
        if not delivery.format.takes_chunks:
            return None
        if names and not names <= delivery.profile.codecs:
            return PLAIN if is_awake(delivery) else None
        if payload_bytes < RECODE_BYTES or self._queue.backed_up or not isinstance(self._source, Stream):
            return None
        if not is_awake(delivery):
            return None
        if names:
            return self._policy.anew_for(self._source, delivery.profile)
        chain = self._policy.chain_for(self._source, delivery.profile)
        return None if chain == PLAIN else chain

    def begin(self, broadcast: Broadcast, first: StoredChunk, classes: Iterable[DeliveryClass]) -> None:
        """Decide how each of the classes gets the chunks of a large message, of which the first is there."""
        message = broadcast.message
        patch = isinstance(message, LargePatch)
        # A patch changes the version before itself: receivers that cannot apply it get a keyframe when it is complete.
        classes = [each for each in taking_chunks(classes) if not patch or takes_patches(each)]
        names = frozenset() if first.encoding is None else codec_names(first.encoding.ids)
        chains = {each: self._chain_for_chunks(each, broadcast.publisher_codecs, names) for each in classes}
        base = None if patch or self._deltas is None else self._deltas.base_of(message.opcode, message.meta)
        deltas = {} if base is None else self._delta_chains(classes)
        for delivery in deltas:
            count_delta(delivery)
        broadcast.begin((chains | deltas).items(), base if deltas else None, anew=bool(names))

    def _chain_for_chunks(self, delivery: DeliveryClass, codecs: frozenset[str], names: frozenset[str]) -> Chain | None:
        if not codecs - NOT_PUBLISHED <= delivery.profile.codecs:
            return PLAIN
        return self.chain_for(delivery, names, RECODE_BYTES)

    def _delta_chains(self, classes: Iterable[DeliveryClass]) -> dict[DeliveryClass, Chain]:
        """Return the chains of deltas, for the classes for which deltas pay."""
        if self._deltas is None or self._queue.backed_up:
            return {}
        chains = [(each, self._deltas.chain_for(each)) for each in taking_chunks(classes)]
        return {delivery: chain for delivery, chain in chains if chain is not None}

    def write_text(
        self, run: Run, classes: Mapping[Any, DeliveryClass], deliver: Callable[[Run | None], object]
    ) -> None:
        """Deliver a run behind all earlier ones, and have it written as text before if a class needs that.

        Args:
            run: the run.
            classes: the delivery classes of the source, as they are at any time.
            deliver: called in its turn with the text; with ``None`` if nobody takes text, or if it cannot be written.
        """

        if not isinstance(self._source, Stream) or text_format(classes) is None:
            self._queue.add_ready(partial(self._written, run, classes, deliver, None))
        elif self._queue.idle and self._takes_text(run):
            deliver(None)
        else:
            self._write(run, classes, deliver, next_in_turn=False)

    def _write(
        self,
        run: Run,
        classes: Mapping[Any, DeliveryClass],
        deliver: Callable[[Run | None], object],
        *,
        next_in_turn: bool,
    ) -> None:
        done = partial(self._written, run, classes, deliver)
        weight = 1 + run.count // TEXTS_A_PIECE
        self._queue.submit(_text_of(run, classes), done, weight=weight, next_in_turn=next_in_turn)

    def _written(
        self,
        run: Run,
        classes: Mapping[Any, DeliveryClass],
        deliver: Callable[[Run | None], object],
        text: Run | BaseException | None,
    ) -> None:
        if text is None and text_format(classes) is not None and not self._takes_text(run):
            self._write(run, classes, deliver, next_in_turn=True)  # for a receiver that has come meanwhile
        else:
            deliver(text if isinstance(text, Run) else None)

    def _takes_text(self, run: Run) -> bool:
        """Return whether a run is to be written as text with others that are sent in this turn: quickly."""
        return self._flusher.take_text(texts_in(run))

    def observe(self, payload: Buffer, element: DTypeLike, meta: Buffer, encoding: Encoding | None) -> None:
        """Let the policy learn from a payload, or from its first chunk.

        Args:
            payload: the policy may take a sample of it.
            element: dtype of the elements.
            meta: the meta block of the message.
            encoding: of the payload; ``None``: it is plain.
        """
        source = self._source
        if self._deltas is not None:
            self._deltas.observe(payload, element, meta, encoding)
        elif isinstance(source, Stream) and self._policy.wants_sample(source, based=False):
            self._policy.observe(source, Sample(payload, element, encoding, meta=meta))

    # Encoding.

    def submit(
        self,
        run: Run,
        frame: DataFrame,
        chains: dict[DeliveryClass, Chain],
        element: DTypeLike,
        classes: Mapping[Any, DeliveryClass],
        deliver: Callable[[Mapping[DeliveryClass, Run], Run | None], object],
    ) -> None:
        """Encode a small message for the classes, and write it as text, then deliver it behind all earlier ones.

        Args:
            run: holds one frame.
            frame: that frame, cut into its blocks.
            chains: from :meth:`chains_for`.
            element: dtype of the elements.
            classes: the delivery classes of the source, as they are at any time.
            deliver: called with the message for each class that does not get it as it was published, and with its text
                as :meth:`write_text` does. A class of ``chains`` is missing if the message cannot be encoded for it.
        """
        recoding = _Recoding(run, frame, element, chains)
        if self._deltas is not None:
            self._prepare_deltas(self._deltas, recoding)

        def done(made: _Made | BaseException, text: Run | None = None) -> None:
            if isinstance(made, BaseException):
                logger.warning("message %d of %s cannot be recoded: %s", run.first, self._source.name, made)
                made = {}
            self.report(recoding.outcomes)
            for delivery, recoded in made.items():
                if recoded.keyframe is not None:
                    count_delta(delivery)
            self._written(run, classes, partial(deliver, made), text)

        def done_with_text(result: tuple[_Made | RequestRefused, Run | None] | BaseException) -> None:
            made, text = (result, None) if isinstance(result, BaseException) else result
            done(made, text)

        in_thread = max(len(frame.payload), decoded_bytes(frame.payload, frame.encoding)) > THREAD_BYTES
        if text_format(classes) is not None and not is_brief(run):
            work = recoding.with_text(classes, in_thread=in_thread)
            self._queue.submit(work, done_with_text, weight=1 + run.count // TEXTS_A_PIECE)
        elif in_thread:
            self._queue.submit(recoding.attempt, done)
        else:
            self._queue.add_ready(partial(done, recoding.attempt()))

    def _prepare_deltas(self, encoder: DeltaEncoder, recoding: _Recoding) -> None:
        """Tell deltas from other chains, and choose how receivers of deltas that need a keyframe get it."""
        run, frame, chains = recoding.run, recoding.frame, recoding.chains
        recoding.base = encoder.base_of_run(run, frame)
        encoder.latest = run.newest()
        recoding.deltas = {delivery: chain for delivery, chain in chains.items() if chain.delta}
        recoding.chains = {delivery: chain for delivery, chain in chains.items() if not chain.delta}
        names = frozenset() if frame.encoding is None else codec_names(frame.encoding.ids)
        for delivery in recoding.deltas:
            # With deltas beside it, encoding the payload once more for the few keyframes is not worth it.
            size = recodable_bytes(frame.payload, frame.encoding) if recoding.base is None else 0
            chain = self.chain_for(delivery, names, size)
            if chain is not None:
                recoding.chains[delivery] = chain

    def report(self, outcomes: Iterable[EncodingOutcome]) -> None:
        """Tell the policy how its chains did on one message."""
        if isinstance(self._source, Stream):
            for outcome in outcomes:
                self._policy.report(self._source, outcome)


_Made = dict[DeliveryClass, Run]
"""Message as each class gets it that does not get it as it was published."""


@dataclass(slots=True, eq=False)
class _Recoding:
    """A small message on its way to be encoded or decoded."""

    run: Run
    """Run of one frame."""
    frame: DataFrame
    """The frame, cut into its blocks."""
    element: DTypeLike
    """Dtype of the elements."""
    chains: dict[DeliveryClass, Chain]
    """Chains of complete messages."""
    deltas: dict[DeliveryClass, Chain] = field(default_factory=dict)
    """Chains of deltas."""
    base: PlainPayload | None = None
    """The version that deltas refer to; ``None``: there is none that they can refer to."""
    outcomes: list[EncodingOutcome] = field(default_factory=list)
    """Outcomes of the chains, filled by :meth:`work`."""

    def attempt(self) -> _Made | RequestRefused:
        """Return the result of :meth:`work`, or its error."""
        try:
            return self.work()
        except RequestRefused as refusal:
            return refusal

    def with_text(
        self, classes: Mapping[Any, DeliveryClass], *, in_thread: bool
    ) -> Steps[tuple[_Made | RequestRefused, Run | None]]:
        """Return the steps that give the result of :meth:`attempt`, and the message as text if a class takes that."""
        made = (yield self.attempt) if in_thread else self.attempt()
        return made, (yield from _text_of(self.run, classes))

    def work(self) -> _Made:
        """Return the message as each of the classes gets it. Runs in a thread if it is large.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``.
        """
        recoded = {chain: self._recoded(chain) for chain in set(self.chains.values())}
        made = {delivery: recoded[chain] for delivery, chain in self.chains.items()}
        if self.base is not None:
            encoded = {chain: self._delta(chain, self.base) for chain in set(self.deltas.values())}
            for delivery, chain in self.deltas.items():
                delta = encoded[chain]
                if delta is not None:
                    # A run of its own for each class: the keyframes that go out in its place may differ.
                    delta = delta.alone()
                    delta.keyframe = made.get(delivery, self.run)
                    made[delivery] = delta
        return made

    def _recoded(self, chain: Chain) -> Run:
        started_s = thread_time()
        recoded = transcode_run(self.run, self.frame, chain, self.element)
        if chain != PLAIN:
            self._note(chain, recoded, thread_time() - started_s)
        return recoded

    def _delta(self, chain: Chain, base: PlainPayload) -> Run | None:
        started_s = thread_time()
        try:
            delta = delta_run(self.run, self.frame, chain, self.element, base)
        except RequestRefused as refusal:
            run = self.run
            logger.warning("message %d of %s is not made a delta: %s", run.first, run.source.name, refusal)
            return None
        self._note(chain, self.run if delta is None else delta, thread_time() - started_s)
        return delta

    def _note(self, chain: Chain, sent: Run, seconds: float) -> None:
        published_bytes = len(self.frame.payload)
        # Header and meta block are the same in both.
        sent_bytes = published_bytes + sent.size - self.run.size
        self.outcomes.append(EncodingOutcome(chain, published_bytes, sent_bytes, seconds))


def is_awake(delivery: DeliveryClass) -> bool:
    """Return whether a class has members that get messages as they come: nothing is made for those that rest."""
    return len(delivery) > len(resting_of(delivery.versions))


def text_format(classes: Mapping[Any, DeliveryClass]) -> UnchunkedFormat | None:
    """Return the format of the classes that take text; ``None`` if there are none."""
    for delivery in classes.values():
        if not delivery.format.takes_chunks and is_awake(delivery):
            return delivery.format
    return None


def _text_of(run: Run, classes: Mapping[Any, DeliveryClass]) -> Steps[Run | None]:
    """Write a run as text; ``None`` if there is no class any more that takes text."""
    form = text_format(classes)
    return None if form is None else (yield from form.writing(run))


def taking_chunks(classes: Iterable[DeliveryClass]) -> list[DeliveryClass]:
    """Return the classes that get large messages chunk by chunk, as they come."""
    return [delivery for delivery in classes if delivery.format.takes_chunks and is_awake(delivery)]
