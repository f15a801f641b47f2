"""Core types: axes, spaces, metrics, trainings, trials as plain frozen data, and the protocols."""
