"""Executing one notebook: what goes to a kernel, what comes back, and what the run used."""
