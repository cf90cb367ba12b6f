"""Start the command: `nbbuild …` and `python -m nbbuild …`."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress

from nbbuild import optional_imports
from nbbuild.quick import uptodate
from nbbuild.quick.verbs import COMPLETING
from nbbuild.text import streams


def script() -> None:
    """Do what `main` does, as the console script: the process ends without being tidied up.

    To free all that a build has loaded, bit by bit, takes a good part of the time that loading it
    took. Exit hooks are run, and what was said is written.
    """
    try:
        main()
    except SystemExit as end:
        threading = sys.modules.get("threading")
        if not isinstance(end.code, int) or (threading and threading.active_count() > 1):
            raise
        atexit._run_exitfuncs()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):
            raise end from None  # Python's own way says what is wrong
        os._exit(end.code)


def main() -> None:
    """Run the command of `sys.argv`, and end the process with its exit status."""
    try:
        _run()
    except KeyboardInterrupt:  # before there was a verb to hear of it
        with suppress(AttributeError, OSError, ValueError):
            print("interrupted", file=sys.stderr, flush=True)
        sys.exit(130)


def _run() -> None:
    streams.fill()
    # While a shell completes a line, there are no words, and they ask for nothing.
    quick = None if os.environ.get(COMPLETING) else uptodate.answer(sys.argv[1:])
    if quick is not None:
        sys.exit(quick)
    optional_imports.hide()
    # Only now: loading the command takes longer than to see that there is nothing to do.
    from nbbuild.cli import group

    streams.take_any_name()
    group.main(prog_name="nbbuild")


if __name__ == "__main__":
    main()
