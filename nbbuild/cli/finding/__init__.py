"""The notebooks that `nbbuild init` finds, and how it writes them down."""

from nbbuild.cli.finding.finder import Found, in_book, in_folder
from nbbuild.cli.finding.tree import OUTPUT

__all__ = ["OUTPUT", "Found", "in_book", "in_folder"]
