"""The audit app's pages, one file per page."""
