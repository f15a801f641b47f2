"""The Gaussian process: its kernel, what it looks at, its posterior, and the zones of that."""
