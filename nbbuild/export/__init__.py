"""Hand results over to other tools; each in the place and the form where that tool looks for them.

Nothing is imported here: what a target needs may not be installed.
"""
