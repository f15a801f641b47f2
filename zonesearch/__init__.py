"""zonesearch: find the zones of hyperparameters where a network works best, and how sure that is."""
