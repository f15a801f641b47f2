"""How a search goes on: what a stage is, budgets, the stages and the line methods."""
