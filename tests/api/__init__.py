"""Tests of the REST API and of its client."""
