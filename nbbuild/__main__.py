"""Start the command: `nbbuild …` and `python -m nbbuild …`."""

from __future__ import annotations

import io
import sys

from nbbuild import hidden, uptodate


def main() -> None:
    """Run the command of `sys.argv`, and end the process with its exit status."""
    quick = uptodate.answer(sys.argv[1:])
    if quick is not None:
        sys.exit(quick)
    hidden.hide()
    # Only now: loading the command takes longer than to see that there is nothing to do.
    from nbbuild.cli import group

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name need not be text. In UTF-8 its bytes can be given as they are.
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    group.main(prog_name="nbbuild")


if __name__ == "__main__":
    main()
