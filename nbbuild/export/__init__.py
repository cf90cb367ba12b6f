"""Hand results over to other tools, each in the place and form in which that tool looks for them.

make gets rules instead (makefile.py). Nothing is imported here: a package that one tool needs may
not be installed.
"""
