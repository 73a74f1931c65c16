"""Clients that work with each other: decayed traffic between them, by workflow, and the pattern that it has."""
