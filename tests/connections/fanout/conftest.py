"""Fixtures of the tests of states."""

import pytest

from tests.connections.versions import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()
