"""Tests of the experts, on real models small enough for any machine."""
