"""Streams in one SQLite file: they outlive the process, and at durability ``fsync`` the machine.

One thread writes, everything that waits in one transaction; readers have a connection of their own.
"""
