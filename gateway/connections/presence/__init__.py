"""Presence: members of workflows and streams, their short-lived states, and the clients that watch them."""
