"""Everything that a gateway can be told, and the file that it may stand in."""

from gateway.config.settings import Settings

__all__ = ["Settings"]
