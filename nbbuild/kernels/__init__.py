"""Start kernels, execute notebooks in them, and end them."""
