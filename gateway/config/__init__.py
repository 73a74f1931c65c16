"""Configuration of a gateway: its settings, and the TOML file that holds them."""

from gateway.config.settings import Settings

__all__ = ["Settings"]
