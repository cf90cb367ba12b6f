"""Turn the configuration into tasks, and the tasks into a graph."""
