"""HTTP connections, their limits, and what all answers share."""
