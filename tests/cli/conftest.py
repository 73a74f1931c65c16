"""One gateway for all tests of the command line: ``frys serve`` itself."""

from collections.abc import Iterator

import pytest

from gateway.testing import running_gateway_process
from gateway.testing.running import GatewayProcess


@pytest.fixture(scope="session")
def serving() -> Iterator[GatewayProcess]:
    with running_gateway_process("--log-level", "warning") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def url(serving: GatewayProcess) -> str:
    return serving.url


@pytest.fixture(scope="session")
def admin_url(serving: GatewayProcess) -> str:
    assert serving.admin_url is not None
    return serving.admin_url
