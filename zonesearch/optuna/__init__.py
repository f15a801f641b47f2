"""Everything that uses Optuna: sampler, stage, space, storage, view, import, dashboard."""
