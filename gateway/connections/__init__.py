"""Connections: the peers of the gateway, and the delivery of messages among them.

Synchronous: the code here knows no socket, no event loop and no WebSocket library.
"""
