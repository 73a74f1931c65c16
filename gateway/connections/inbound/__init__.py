"""Published messages on their way in: checked, ordered, stored, passed to the fan-out."""
