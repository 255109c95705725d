"""Every atomic change of the audit app, as verb-first functions."""
