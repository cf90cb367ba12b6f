"""Executors that carry out attempts elsewhere; each is an entry point, and is loaded as one."""
