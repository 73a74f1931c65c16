"""Rates at which types of clients and workflows publish, read from counters, and held to budgets."""
