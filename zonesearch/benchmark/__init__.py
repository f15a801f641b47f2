"""Search methods against each other: the same budget, the same noisy problem, scored by the true mean of what each
recommends. Stages and trials are the same as in a study; a problem with a known truth answers in place of a network.
"""
