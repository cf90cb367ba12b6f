"""What a kernel's Python would find: kernels, distributions, imports."""
