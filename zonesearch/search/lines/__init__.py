"""One-dimensional searches on an interval of one axis: what stage interval uses, one method a file."""
