"""Search methods against each other: the same budget, the same noisy problem, scored by the true mean of what each recommends."""
