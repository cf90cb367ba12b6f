"""The order in which the tasks of a build run, and how many at once."""
