"""Tests of gateway.connections; a package, so that its reader and its core in memory can be imported."""
