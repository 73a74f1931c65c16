"""Publishes on their way in: checked, ordered, stored, handed to the fan-out."""
