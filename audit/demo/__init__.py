"""The demonstration: real digits with planted errors, audited by the ordinary commands."""
