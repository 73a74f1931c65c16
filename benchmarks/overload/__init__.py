"""Overload: what a gateway does under twice the load that it can carry."""
