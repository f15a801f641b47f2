"""The search: the interface of stages, budgets, the stages and the line methods."""
