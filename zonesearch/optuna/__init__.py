"""All that touches Optuna: sampler, stage, space, storage, view, import, dashboard."""
