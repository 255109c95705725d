"""The test suite: scoring, audit, reviews, browser, faults."""
