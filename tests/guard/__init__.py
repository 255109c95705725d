"""What every process of a test run loads before anything else."""
