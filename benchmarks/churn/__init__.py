"""Churn: connections that come and go all the time, each a member of one workflow."""
