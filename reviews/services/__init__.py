"""Every atomic change of the reviews app, as verb-first functions."""
