"""Patterns, the files that they mean, and copies of a project."""
