"""Studies: what to search, how, and on which network; study files and the objects built from them."""
