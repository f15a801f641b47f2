"""Export of runs to experiment trackers: MLflow and TensorBoard."""
