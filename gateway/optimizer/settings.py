"""Settings of the optimizer: the traffic history, how densely it is sampled, and the time for shadow trials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import InvalidArgument

MIN_HISTORY_BYTES: Final = 1024 * 1024
"""Least size of a traffic history: some thousand records."""
SHORTEST_INTERVAL_S: Final = 0.1
"""Shortest interval of samples: each costs a look at the receivers of the stream, some 50 us of the loop."""
LONGEST_INTERVAL_S: Final = 3600.0
"""Longest interval of samples."""
MIN_PAYLOAD_BYTES: Final = 1024 * 1024
"""Least size of stored payloads: four samples of the longest, with the versions before."""
MIN_PAYLOAD_AGE_S: Final = 60.0
"""Least age at which they are removed: so often is looked for it."""
MAX_TRIAL_CPU_SHARE: Final = 0.5
"""Largest share of a core for shadow trials: the gateway needs the other cores, or there are none."""


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """Settings of the optimizer.

    Raises:
        InvalidArgument: a value is out of its range.
    """

    history_dir: str = ""
    """Directory of the traffic history; empty: none is recorded."""
    history_bytes: int = 256 * 1024 * 1024
    """Size of all files of the traffic history, past which the oldest are removed."""
    sample_interval_s: float = 1.0
    """Interval in which each stream of large messages is recorded once."""
    trial_cpu_share: float = 0.05
    """Share of a core for shadow trials, which need a traffic history; 0: none are made."""
    learn: bool = True
    """Whether encodings are chosen by the outcomes of shadow trials, if some are made; otherwise by samples alone."""

    payload_bytes: int = 64 * 1024 * 1024
    """Size of all stored payloads, past which the oldest are removed. There are some only of streams whose rule has
    ``store_payloads``."""
    payloads_expire_after_s: float = 604_800.0
    """Age of a stored payload at which it is removed."""

    def __post_init__(self) -> None:
        if self.history_bytes < MIN_HISTORY_BYTES:
            raise InvalidArgument(f"history_bytes is {self.history_bytes}: it takes {MIN_HISTORY_BYTES} or more")
        if not SHORTEST_INTERVAL_S <= self.sample_interval_s <= LONGEST_INTERVAL_S:
            takes = f"it takes {SHORTEST_INTERVAL_S:g} to {LONGEST_INTERVAL_S:g}"
            raise InvalidArgument(f"sample_interval_s is {self.sample_interval_s:g}: {takes}")
        if not 0 <= self.trial_cpu_share <= MAX_TRIAL_CPU_SHARE:
            takes = f"it takes 0 (none) to {MAX_TRIAL_CPU_SHARE:g} of a core"
            raise InvalidArgument(f"trial_cpu_share is {self.trial_cpu_share:g}: {takes}")
        if self.payload_bytes < MIN_PAYLOAD_BYTES:
            raise InvalidArgument(f"payload_bytes is {self.payload_bytes}: it takes {MIN_PAYLOAD_BYTES} or more")
        if not self.payloads_expire_after_s >= MIN_PAYLOAD_AGE_S:
            takes = f"it takes {MIN_PAYLOAD_AGE_S:g} or more"
            raise InvalidArgument(f"payloads_expire_after_s is {self.payloads_expire_after_s:g}: {takes}")
        _path_of(self.history_dir)

    @property
    def history_path(self) -> Path | None:
        """Directory of the traffic history; ``None``: none is recorded."""
        return _path_of(self.history_dir)


def _path_of(directory: str) -> Path | None:
    if "\0" in directory:
        raise InvalidArgument(f"history_dir {directory!r} has a null character, which no path has")
    try:
        return Path(directory).expanduser() if directory else None
    except RuntimeError as error:
        raise InvalidArgument(f"history_dir {directory!r}: {error}") from None
