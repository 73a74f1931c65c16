"""Frys Gateway: a real-time collaboration gateway for workflow tensors."""

__version__ = "0.1.0"
