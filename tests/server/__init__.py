"""Tests of gateway.server; a package, so that its sockets in memory can be imported."""
