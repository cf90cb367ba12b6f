"""Starting, executing in and ending kernels."""
