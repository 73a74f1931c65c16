"""The ``frys`` command: one module a command, loaded when it is called."""

from gateway.cli.program import main

__all__ = ["main"]
