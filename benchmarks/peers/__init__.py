"""What the gateway is measured against; each module is a program that prints ``listening on HOST:PORT``."""
