"""Messages between the gateway and the process that predicts: one line of JSON each, in both directions."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import asdict, dataclass

from gateway.optimizer.child_process import MISREAD, BadMessage
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.history.layout import BadRecord, checked_size
from gateway.optimizer.history.record import ShadowTrial
from gateway.optimizer.history.trial_record import pack_trial, unpack_trial


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """Request to predict what chains would make of the payloads of a stream, or to learn from a trial."""

    trial: ShadowTrial | None = None
    """Trial that is known of the stream; ``None``: a model is to be made ready."""
    number: int | None = None
    """Id of the stream; ``None``: nothing is asked, and the trial is one of all candidates to learn from."""
    chains: tuple[str, ...] = ()
    """Chains that the trial lacks."""

    def line(self) -> bytes:
        """Return the line."""
        packed = None if self.trial is None else base64.b64encode(pack_trial(self.trial)).decode()
        return json.dumps({"trial": packed, "number": self.number, "chains": self.chains}).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> PredictionRequest:
        """Return the request of a line.

        Raises:
            BadMessage: it is none.
        """
        try:
            fields = json.loads(line)
            number, chains = fields["number"], tuple([str(chain) for chain in fields["chains"]])
            packed = fields["trial"] and base64.b64decode(fields["trial"], validate=True)
            trial = unpack_trial(packed, 0, checked_size(packed, 0)) if packed else None
            return cls(trial, None if number is None else int(number), chains)
        except (BadRecord, *MISREAD) as error:
            raise BadMessage(f"no request for a prediction: {line[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class Prediction:
    """Figures of chains for the payloads of a stream."""

    number: int
    """Id of the stream."""
    figures: tuple[EncodingFigures, ...]
    """Figures of the chains that were asked for; empty: there is no model."""

    def line(self) -> bytes:
        """Return the line."""
        figures = [[each.chain, each.ratio, each.encode_s_per_byte, each.decode_s_per_byte] for each in self.figures]
        return json.dumps({"number": self.number, "figures": figures}).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class ModelState:
    """State of the model, told after each fit."""

    trials: int
    """Trials to which it is fitted; 0: there are too few for one."""
    cpu_s: float
    """CPU time of the process so far."""
    error: str = ""
    """Reason for which it could not be fitted; empty: it was, or there are too few trials."""

    def line(self) -> bytes:
        """Return the line."""
        return json.dumps(asdict(self)).encode() + b"\n"


def parse_answer(line: bytes) -> Prediction | ModelState:
    """Return what the process has written.

    Raises:
        BadMessage: it is neither, or has a figure that is no finite number.
    """
    try:
        fields = json.loads(line)
        if "figures" not in fields:
            return ModelState(int(fields["trials"]), float(fields["cpu_s"]), str(fields["error"]))
        figures = [EncodingFigures(str(chain), *map(float, numbers)) for chain, *numbers in fields["figures"]]
        prediction = Prediction(int(fields["number"]), tuple(figures))
    except MISREAD as error:
        raise BadMessage(f"no prediction: {line[:80]!r}") from error
    for each in prediction.figures:
        if not all(math.isfinite(value) for value in (each.ratio, each.encode_s_per_byte, each.decode_s_per_byte)):
            raise BadMessage(f"a figure that is no number: {each}")
    return prediction
