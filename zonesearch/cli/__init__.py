"""The command line: parses, calls, prints; one command a file, no logic."""
