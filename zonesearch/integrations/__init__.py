"""Training frameworks that report to a search from inside an objective, one a module, each imported on its own."""
