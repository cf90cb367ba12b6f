"""Configuration to tasks to graph."""
