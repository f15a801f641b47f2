"""Approximation of the surface by a Gaussian process: the process, what it looks at, what it proposes, its zones."""
