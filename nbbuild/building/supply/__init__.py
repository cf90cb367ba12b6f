"""The processes that the kernels of a build come from, and what is loaded in them ahead."""
