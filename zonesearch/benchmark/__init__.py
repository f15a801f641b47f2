"""Compare search methods: the same budget and the same noisy problem, scored by the true mean of the point each
recommends. Stages and trials are the same as in a study; a problem with known true values replaces the network.
"""
