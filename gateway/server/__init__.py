"""WebSocket sockets of the gateway: the only room, beside the SDK, that knows the WebSocket library."""
