"""Text for people and terminals: sizes, cell names, what is safe to print."""
