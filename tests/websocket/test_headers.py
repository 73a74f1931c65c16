"""WebSocket headers as the library reads them."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from gateway.websocket.headers import binary_header, text_header


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 100_000])
def test_the_library_reads_what_is_written(size: int) -> None:
    for header, opcode in ((binary_header(size), Opcode.BINARY), (text_header(size), Opcode.TEXT)):
        reader = StreamReader()
        reader.feed_data(header + bytes(size))
        parser = Frame.parse(reader.read_exact, mask=False)
        with pytest.raises(StopIteration) as done:
            next(parser)
        frame = done.value.value
        assert (frame.opcode, frame.fin, len(frame.data)) == (opcode, True, size)
