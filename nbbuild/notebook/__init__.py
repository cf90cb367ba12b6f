"""Read, understand and merge notebooks.

Nothing is imported here, so that `formats` and `code` load without nbformat and jupytext.
"""
