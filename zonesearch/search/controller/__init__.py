"""The controlling network: a prior that was learned from real trainings, what it says after some, and its stage."""
