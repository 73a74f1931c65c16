"""Measurement behind decision 0025: a filter that shuffles bits, for receivers in browsers."""
