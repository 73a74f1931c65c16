"""Schemas of the optimizer's answer on the admin port."""

from __future__ import annotations

from typing import Final

from gateway.admin.document.schema_parts import INTEGER, MEASURED, NUMBER, TEXT, Node, object_of, ref_to, schema_of
from gateway.optimizer.decisions.advice import Advice
from gateway.optimizer.decisions.decision import SOURCES
from gateway.optimizer.decisions.stats import DecisionStats
from gateway.optimizer.history.record import TriedChain
from gateway.optimizer.history.stats import PayloadStoreStats, TrafficHistoryStats
from gateway.optimizer.prediction.stats import PredictionStats
from gateway.optimizer.shadow.stats import ShadowTrialStats

OPTIMIZER_SCHEMAS: Final[Node] = {
    "Optimizer": object_of(
        history={
            **schema_of(TrafficHistoryStats),
            "type": ["object", "null"],
            "description": "Counts of the traffic history; null: none is recorded.",
        },
        payloads={
            **schema_of(PayloadStoreStats),
            "type": ["object", "null"],
            "description": "Counts of stored payloads; null: no rule for streams allows any.",
        },
        trials={
            **object_of(
                **schema_of(ShadowTrialStats)["properties"],
                busiest={"type": "array", "items": ref_to("TriedStream")},
            ),
            "type": ["object", "null"],
            "description": "Shadow trials, with the streams of most bytes to their receivers; null: none are made.",
        },
        decisions={
            **schema_of(DecisionStats),
            "type": ["object", "null"],
            "description": "Counts of decisions about encodings by their cost; null: none are taken.",
        },
        predictions={
            **schema_of(PredictionStats),
            "type": ["object", "null"],
            "description": "Counts of predictions for candidates that were not tried; null: nothing is predicted.",
        },
    ),
    "TriedStream": object_of(
        time_ns=INTEGER | {"description": "Unix time of the last trial."},
        stream=TEXT,
        view=TEXT,
        dtype=TEXT,
        shape={"type": "array", "items": INTEGER},
        sample_bytes=INTEGER,
        based={"type": "boolean", "description": "Whether deltas were tried."},
        drifted={"type": "boolean", "description": "Whether the trial was made because the payloads had changed."},
        cpu_s=NUMBER,
        probed={"type": "boolean", "description": "Whether only a few cheap candidates were tried so far."},
        tried={"type": "array", "items": schema_of(TriedChain)},
        features=object_of(
            zero_share=MEASURED,
            unchanged_share=MEASURED,
            repeated_share=MEASURED,
            plane_entropy_bits={"type": "array", "items": NUMBER},
        ),
        classes={
            "type": "array",
            "items": object_of(
                codecs={"type": "array", "items": TEXT},
                tier=TEXT | {"description": "Link tier of most of its receivers."},
                sdk=TEXT | {"description": "SDK of most of its receivers; empty: another one."},
                chain=TEXT,
                receivers=INTEGER,
                goodput_bytes_per_s=MEASURED,
                advice={"type": "array", "items": object_of(**schema_of(Advice)["properties"], words=TEXT)},
            ),
            "description": "Delivery classes, with the candidate of least cost for each link tier.",
        },
        decisions={"type": "array", "items": ref_to("Decision")},
    ),
    "Decision": object_of(
        stream=TEXT,
        view=TEXT,
        codecs={"type": "array", "items": TEXT, "description": "Codecs and filters that its receivers know."},
        tier=TEXT | {"description": "Link tier of the receivers."},
        sdk=TEXT | {"description": "SDK of the receivers; empty: another one."},
        chain=TEXT | {"description": "Chain of complete payloads."},
        delta={"type": ["string", "null"], "description": "Chain of deltas; null: none are made."},
        predicted_s=NUMBER | {"description": "Predicted cost of a payload."},
        baseline_s=NUMBER | {"description": "Predicted cost of one by the baseline."},
        reason=TEXT,
        source={
            "type": "string",
            "enum": list(SOURCES),
            "description": "Source of the figures by which it was chosen.",
        },
        predicted_ratio=MEASURED | {"description": "Predicted size sent over size of the payload."},
        verdict=object_of(
            in_force={"type": "boolean", "description": "Whether the decision is not taken back."},
            pairs=INTEGER | {"description": "Pairs of blocks that were compared."},
            measured_s=MEASURED | {"description": "Measured cost of a payload by the decision."},
            baseline_s=MEASURED | {"description": "Measured cost of one by the baseline."},
            recess_s=NUMBER | {"description": "Time until a decision that was taken back is tried again."},
            words=TEXT,
        ),
    ),
}
