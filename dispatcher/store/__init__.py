"""SQL in one place: the append-only event log and its projections."""
