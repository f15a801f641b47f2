"""The objective of a run that an older version stored."""


def hill(params, seed, epochs):
    """A hill with its top at x = 0.6, the same for every seed but for a little noise."""
    for epoch in range(epochs):
        yield 0.9 - (params["x"] - 0.6) ** 2 - 0.1 / (epoch + 1) + 0.001 * ((seed * 7919 + epoch) % 5)
