"""Presence: the clients that are in a workflow or at a stream, and this client among them."""
