"""Start the command: `nbbuild …` and `python -m nbbuild …`."""

from __future__ import annotations

import io
import sys

from nbbuild import uptodate


def main() -> None:
    """Run the command of `sys.argv`, and end the process with its exit status."""
    quick = uptodate.answer(sys.argv[1:])
    if quick is not None:
        sys.exit(quick)
    # Where these packages are (JupyterLab brings them), jsonschema imports them as nbformat imports
    # it. The first compiles 39 grammars, which takes longer than to load all of nbbuild, the others
    # take a fifth of the time of nbformat, and nobody here checks an IRI, a date or a colour.
    for name in ("rfc3987_syntax", "isoduration", "rfc3986_validator", "uri_template", "webcolors"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # "not there"
    # Where Jupyter's server is installed, Jupytext imports it for its contents managers, and does
    # without where it is not. That takes twice as long as to import all else of Jupytext.
    for name in ("contentsmanager", "sync_contentsmanager", "async_contentsmanager"):
        sys.modules.setdefault(f"jupytext.{name}", None)  # type: ignore[arg-type]
    # Only now: loading the command takes longer than to see that there is nothing to do.
    from nbbuild.cli import group

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name need not be text. In UTF-8 its bytes can be given as they are.
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    group.main(prog_name="nbbuild")


if __name__ == "__main__":
    main()
