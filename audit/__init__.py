"""Data sets, experts, scores, audits and their queues."""
