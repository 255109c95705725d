"""Tests of the numerics: worked examples, independent oracles, invariants."""
