"""Tests of the codecs, one module a codec."""
