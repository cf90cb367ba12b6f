"""Small helpers for the climate notebooks."""
