"""Requests and replies, to inboxes and to groups."""
