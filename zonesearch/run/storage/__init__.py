"""Where trials are kept: run folders, records, merge, lock."""
