"""Viewing: messages of views, computed once for all receivers."""
