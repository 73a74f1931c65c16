"""Settings of the optimizer: without a directory nothing is recorded, and values that cannot be are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import InvalidArgument
from gateway.optimizer.settings import (
    LONGEST_INTERVAL_S,
    MIN_HISTORY_BYTES,
    MIN_PAYLOAD_BYTES,
    SHORTEST_INTERVAL_S,
    OptimizerSettings,
)


def test_nothing_is_recorded_unless_a_directory_is_given() -> None:
    assert OptimizerSettings().history_path is None
    assert OptimizerSettings(history_dir="a/b").history_path == Path("a/b")
    assert OptimizerSettings(history_dir="~/b").history_path == Path.home() / "b"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"history_bytes": MIN_HISTORY_BYTES - 1}, "history_bytes is 1048575: it takes 1048576 or more"),
        ({"sample_interval_s": SHORTEST_INTERVAL_S / 2}, "sample_interval_s is 0.05: it takes 0.1 to 3600"),
        ({"sample_interval_s": LONGEST_INTERVAL_S + 1}, "sample_interval_s is 3601"),
        ({"payload_bytes": MIN_PAYLOAD_BYTES - 1}, "payload_bytes is 1048575: it takes 1048576 or more"),
        ({"payloads_expire_after_s": 59}, "payloads_expire_after_s is 59: it takes 60 or more"),
        ({"payloads_expire_after_s": float("nan")}, "payloads_expire_after_s is nan"),
        ({"trial_cpu_share": 0.6}, "trial_cpu_share is 0.6: it takes 0 .none. to 0.5 of a core"),
        ({"trial_cpu_share": -0.1}, "trial_cpu_share is -0.1"),
        ({"trial_cpu_share": float("nan")}, "trial_cpu_share is nan"),
        ({"history_dir": "a\0b"}, "has a null character"),
        ({"history_dir": "~nobody-here/a"}, "history_dir '~nobody-here/a': "),
    ],
)
def test_a_value_that_cannot_be_is_refused(wrong: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        OptimizerSettings(**wrong)  # type: ignore[arg-type]
