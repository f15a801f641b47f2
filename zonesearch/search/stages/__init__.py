"""The stages, one method a file."""
