"""Give verdicts and their reasons, from keys, inputs and conflicts. Reads, never writes."""
