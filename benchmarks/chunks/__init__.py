"""Sizes of the chunks of large messages, compared over lines with a rate and on this machine."""
