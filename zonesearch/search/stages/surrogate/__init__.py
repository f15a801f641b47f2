"""Approximation of the surface by a Gaussian process: its data, its proposals, its zones."""
