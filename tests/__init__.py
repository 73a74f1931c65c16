"""Tests mirror ``gateway/``; a package, so that they can share strategies."""
