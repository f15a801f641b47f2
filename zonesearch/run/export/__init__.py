"""Runs in the trackers that people have: MLflow, TensorBoard."""
