"""The REST API, version 1: one file per subject. Loaded by requests under /api/ only."""
