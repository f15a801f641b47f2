"""Callbacks with which training frameworks report to a search from inside an objective, one framework per module."""
