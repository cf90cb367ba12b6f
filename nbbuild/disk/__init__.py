"""What survives a crash: atomic writes, locks, digests, state."""
