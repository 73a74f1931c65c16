"""Streams as ``.npy`` files, both ways."""
