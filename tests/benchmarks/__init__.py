"""Benchmarks beside their peers: `make bench` prints ratios taken in one run."""
