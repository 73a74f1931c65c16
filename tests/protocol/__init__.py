"""Tests of ``gateway/protocol``: no event loop, no socket, no clock."""
