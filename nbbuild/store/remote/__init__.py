"""The remote cache: results that other machines have built, and that others may take from here.

A remote holds bytes by name. `objects` says what it must be able to do; `opening` finds the module
that can do it for a URL.
"""
