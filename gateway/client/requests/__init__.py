"""Requests and replies, for both sides."""
