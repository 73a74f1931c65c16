"""The subprotocol ``frys.v1.json`` at the edge of the gateway."""
