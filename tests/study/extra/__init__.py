"""A plug-in package for the tests: one file for each kind of part, as CONTRIBUTING.md says."""
