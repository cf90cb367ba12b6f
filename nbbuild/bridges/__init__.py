"""Ways in from other tools."""
