"""Program of the process that tries chains on samples.

Requests come by the standard input, samples by shared memory, and answers go back by the standard output. The end of
the input ends the process, also behind a gateway that was killed; signals to the whole group of processes do not. A
sample is wiped before its answer is written, whatever became of the trial.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from gateway.errors import FrysError
from gateway.optimizer.background import stand_back
from gateway.optimizer.history.record import TriedChain
from gateway.optimizer.shadow.sample_memory import SampleMemory
from gateway.optimizer.shadow.trial_messages import TrialAnswer, TrialRequest
from gateway.optimizer.shadow.trying import try_chains
from gateway.protocol.dtypes import dtype_named
from gateway.protocol.encoding import Chain

MAX_DATA_BYTES: Final = 512 * 1024 * 1024
"""Memory of the process beyond its programs, past which a trial fails."""


def answer(request: TrialRequest, memory: SampleMemory) -> TrialAnswer:
    """Try the chains of a request, whichever of them fail; the sample is gone afterwards.

    Args:
        request: the request.
        memory: has the sample.
    """
    begin_s, tried, failed, error = time.thread_time(), list[TriedChain](), list[str](), ""
    try:
        slot = memory.slot(request.slot).toreadonly()
        sample = slot[: request.sample_bytes]
        base = slot[request.sample_bytes :][: request.base_bytes] if request.base_bytes else None
        element = dtype_named(request.dtype)
        for chain in request.chains:
            if time.thread_time() - begin_s > request.longest_s:
                break
            try:
                tried += try_chains([Chain.parse(chain)], sample, element, base, time.thread_time)
            except Exception as failure:  # noqa: BLE001 - a codec may raise anything, and the others are tried
                failed.append(chain)
                error = error or f"{chain}: {str(failure) or type(failure).__name__}"
    except (FrysError, MemoryError, ValueError) as failure:
        error = str(failure) or type(failure).__name__
    finally:
        memory.clear(request.slot)
    return TrialAnswer(request.slot, time.thread_time() - begin_s, tuple(tried), tuple(failed), error)


def main() -> None:
    """Try chains until the standard input ends; the last argument is the descriptor of the shared memory."""
    stand_back(MAX_DATA_BYTES)
    memory = SampleMemory(int(sys.argv[-1]))
    for line in sys.stdin.buffer:
        os.write(sys.stdout.fileno(), answer(TrialRequest.parse(line), memory).line())
