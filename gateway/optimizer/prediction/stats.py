"""Counts of predictions, as values for monitoring."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionStats:
    """Counts of the predictions of a gateway since its start."""

    model_trials: int
    """Shadow trials to which the model is fitted; 0: there is none."""
    fits: int
    """Fits of the model."""
    cpu_s: float
    """CPU time of the process up to the last fit."""
    predicted: int
    """Streams for which candidates that were not tried were predicted."""
    process_starts: int
    """Number of times that the process was started."""
    working: bool
    """Whether there is a model, and its process answers."""
    failure: str
    """Reason for which the last fit has failed; empty: it has not."""
