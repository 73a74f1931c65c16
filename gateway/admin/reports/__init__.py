"""Answers of the admin port: numbers and lists of the gateway."""
