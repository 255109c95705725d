"""People's work: sample ledger, leases, judgments, decisions, reports, releases."""
