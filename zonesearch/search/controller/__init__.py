"""The controller: a prior learned from real trainings, its posterior, and its stage."""
