"""What a run asked of the machine, and whether each answer still holds."""
