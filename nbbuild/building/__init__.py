"""One build: the order of its tasks, their attempts, and what became of each."""
