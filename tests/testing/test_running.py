"""A real gateway in one line, in this loop or in a process."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.client import connect, sync
from gateway.testing import running_gateway, running_gateway_process


async def test_a_gateway_in_this_loop() -> None:
    async with running_gateway() as gateway, connect(gateway.url) as client:
        assert (await client.publish("wf/a", np.arange(3))).offset == 0


def test_a_gateway_process_ends_with_its_context() -> None:
    with running_gateway_process() as gateway:
        assert gateway.admin_url is not None
        with sync.connect(gateway.url) as client:
            assert client.publish("wf/a", np.arange(3)).offset == 0
    assert gateway.process.returncode == 0


def test_a_process_that_does_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="--no-such-option"), running_gateway_process("--no-such-option"):
        pass
