"""Overload: what presses on the gateway, the stage that it is therefore in, and what the stage has done."""
