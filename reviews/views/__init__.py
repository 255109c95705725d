"""The reviews app's pages, one file per page."""
