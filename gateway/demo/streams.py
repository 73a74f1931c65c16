"""Stream names of the demo's workflow."""

from __future__ import annotations

from typing import Final

WORKFLOW: Final = "digits"

HELD_OUT: Final = f"{WORKFLOW}/held_out"
"""State: ``images`` float32 (n, 64) and ``labels`` int64 (n,), which the trainer never trains on."""
WEIGHTS: Final = f"{WORKFLOW}/weights"
"""State: the model's parameters by name, after every step."""
BATCH: Final = f"{WORKFLOW}/batch"
"""State: ``images`` float32 (batch, 64) and ``labels`` int64 (batch,) of a step."""
GRADIENTS: Final = f"{WORKFLOW}/gradients"
"""State: the gradient of every parameter, under the parameter's name."""
ACTIVATIONS: Final = f"{WORKFLOW}/activations"
"""State: the hidden layer's output float32 (batch, hidden)."""
CONFUSION: Final = f"{WORKFLOW}/confusion"
"""State: int64 (10, 10) over the last batches; rows are true classes, columns predicted ones."""
LOSS: Final = f"{WORKFLOW}/loss"
"""Event: the mean cross-entropy of every batch, a float32 scalar."""
ACCURACY: Final = f"{WORKFLOW}/accuracy"
"""Event: the share of the held-out set that the model classifies right, a float64 scalar; headers: run and step."""
