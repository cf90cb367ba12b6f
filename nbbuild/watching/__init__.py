"""What a run asked the machine, and whether each answer still holds."""
