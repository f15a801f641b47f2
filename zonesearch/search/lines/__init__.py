"""One-dimensional searches on an interval of one axis, used by the stage interval; one method per file."""
