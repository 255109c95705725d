"""Real workers, killed for real."""
