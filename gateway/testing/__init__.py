"""Real gateway in one line, for tests of programs that use one."""

from gateway.testing.running import GatewayProcess, running_gateway, running_gateway_process

__all__ = ["GatewayProcess", "running_gateway", "running_gateway_process"]
