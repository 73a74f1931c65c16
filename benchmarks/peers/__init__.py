"""Servers that the gateway is compared with; each module is a program that prints ``listening on HOST:PORT``."""
