"""Clients that make others wait: what a client that behaves well notices beside them, and the memory they leave."""
