"""Fork kernels from processes that have loaded what they need."""
