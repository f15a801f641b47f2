"""The command line: parse, call, print. One command per file, no logic."""
