"""Build whenever a file is saved, and show what comes of it on the terminal and in a page."""
