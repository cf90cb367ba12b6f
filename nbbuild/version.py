"""The version of nbbuild; imports nothing."""

__version__ = "0.1.0"
