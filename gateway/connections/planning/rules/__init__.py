"""Rules: which settings of one knob the facts call for. Pure functions of frozen values."""
