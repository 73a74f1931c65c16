"""The demo's streams have names that a gateway takes."""

from gateway.demo import streams
from gateway.protocol.names import check_stream_name


def test_names() -> None:
    names = [value for name, value in vars(streams).items() if name.isupper() and name != "WORKFLOW"]
    assert len(set(names)) == len(names) == 8
    assert {check_stream_name(name).partition("/")[0] for name in names} == {streams.WORKFLOW}
