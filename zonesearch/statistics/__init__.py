"""Numbers in, numbers out: noise, zones, the one Gaussian process, significance, race, verdict, agreement."""
