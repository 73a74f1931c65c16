"""The streams of the demo's workflow, as its agents name them."""

from __future__ import annotations

from typing import Final

WORKFLOW: Final = "digits"

HELD_OUT: Final = f"{WORKFLOW}/held_out"
"""State: ``images`` float32 (n, 64) and ``labels`` int64 (n,) that the trainer never trains on."""
WEIGHTS: Final = f"{WORKFLOW}/weights"
"""State: the model's parameters by name, of every step."""
BATCH: Final = f"{WORKFLOW}/batch"
"""State: ``images`` float32 (batch, 64) and ``labels`` int64 (batch,) that a step was computed from."""
GRADIENTS: Final = f"{WORKFLOW}/gradients"
"""State: the gradient of every parameter, under the parameter's name."""
ACTIVATIONS: Final = f"{WORKFLOW}/activations"
"""State: the hidden layer's output float32 (batch, hidden)."""
CONFUSION: Final = f"{WORKFLOW}/confusion"
"""State: int64 (10, 10) over the last batches; rows are what it is, columns what the model says."""
LOSS: Final = f"{WORKFLOW}/loss"
"""Event: the mean cross-entropy of every batch, a float32 scalar."""
ACCURACY: Final = f"{WORKFLOW}/accuracy"
"""Event: the part of the held-out set that the model gets right, a float64 scalar; headers name run and step."""
