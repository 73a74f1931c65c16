"""Admission: which further clients the gateway takes now, and when the others are to return."""
