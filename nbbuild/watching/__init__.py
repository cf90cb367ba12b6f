"""Watch what a run asks the machine, and check whether each answer still holds."""
