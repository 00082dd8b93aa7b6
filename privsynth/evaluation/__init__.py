"""Evaluators: each yields scores about a synthetic table."""
