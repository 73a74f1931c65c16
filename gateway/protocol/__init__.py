"""Bytes to messages and back, as ``spec/protocol.md`` says.

No I/O, no clock, no asyncio: buffers in, values and buffers out. The server, the SDK and the tests drive the same code.
"""
