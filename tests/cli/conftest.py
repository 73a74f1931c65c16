"""One gateway for all tests of the command line: ``frys serve`` itself."""

from collections.abc import Iterator

import pytest

from gateway.testing import running_gateway_process


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with running_gateway_process("--log-level", "warning") as gateway:
        yield gateway.url
