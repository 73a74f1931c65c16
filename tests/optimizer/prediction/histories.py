"""Histories for tests of predictions: trials by a rule, in the files of a gateway."""

from __future__ import annotations

from pathlib import Path

from gateway.optimizer.history.files import HistoryFiles
from gateway.optimizer.history.record import ShadowTrial
from gateway.optimizer.history.trial_record import pack_trial
from tests.optimizer.learning.trials import trials


def written(directory: Path, count: int) -> list[ShadowTrial]:
    """Write trials of so many streams, and return them."""
    found, files = trials(count), HistoryFiles(directory, 2**20)
    files.append(b"".join(map(pack_trial, found)))
    files.close()
    return found
