"""One build: the order of its tasks, their attempts, and the outcome of each."""
