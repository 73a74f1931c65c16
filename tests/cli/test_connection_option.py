"""What pub and sub share."""

from gateway.cli.connection_option import DEFAULT_URL
from gateway.config import Settings


def test_the_default_is_where_serve_listens() -> None:
    assert f"ws://{Settings().host}:{Settings().port}" == DEFAULT_URL
