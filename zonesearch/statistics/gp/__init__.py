"""The Gaussian process: its kernel, its targets, its posterior, and the zones of that posterior."""
