"""People's work: samples, leases, judgments, reports, releases."""
