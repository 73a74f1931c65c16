"""Commands of an operator to the gateway."""
