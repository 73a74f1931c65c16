"""Streams in one SQLite file, which survive a kill of the process, and at durability ``fsync`` a power failure.

One thread writes all waiting changes in one transaction; readers have a connection of their own.
"""
