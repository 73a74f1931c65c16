"""Sockets: the only place, beside the SDK, that knows the WebSocket library."""
