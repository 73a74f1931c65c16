"""One connection of the SDK: socket, handshake, heartbeat, reconnecting."""
