"""What the files of books and documentation tools say about their notebooks; for `nbbuild init`."""

from nbbuild.cli.books.book import Book, ContentsLine, Never
from nbbuild.cli.books.places import find, read

__all__ = ["Book", "ContentsLine", "Never", "find", "read"]
