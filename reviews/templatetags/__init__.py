"""Template filters of the reviews app."""
