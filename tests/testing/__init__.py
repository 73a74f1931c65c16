"""Tests of what is offered to the tests of others."""
