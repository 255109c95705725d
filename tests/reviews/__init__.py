"""The reviews app."""
