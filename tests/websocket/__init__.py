"""Tests of gateway.websocket; a package, so that its frames can be imported."""
