"""A real gateway in one line, for the tests of those who build on it."""

from gateway.testing.running import GatewayProcess, running_gateway, running_gateway_process

__all__ = ["GatewayProcess", "running_gateway", "running_gateway_process"]
