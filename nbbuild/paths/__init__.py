"""Patterns, the files that they match, and copies of a project."""
