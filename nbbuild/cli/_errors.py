"""Turn how a verb ended into an exit status, and its errors into messages on stderr.

0 all well, 1 a notebook failed, 2 usage or configuration, 3 the cache or nbbuild itself, 130
interrupted, 141 when whoever read our output has gone (what a shell shows for SIGPIPE).
"""

from __future__ import annotations

import difflib
import errno
import os
import select
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import click

from nbbuild.errors import NbbuildError, Problems, UsageError, internal
from nbbuild.text.printable import clean

INTERRUPTED = 130
NOBODY_READS = 141


def exit_status(work: Callable[[], object]) -> int:
    """Do the work and return the exit status: the int that `work` returned, else 0.

    What `work` raises is printed on stderr. SystemExit passes.
    """
    try:
        status = _result(work)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        _say("\ninterrupted" if _is_terminal(sys.stderr) else "interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: nothing is above us
        if isinstance(error, BrokenPipeError) and _is_gone(sys.stdout):
            status = NOBODY_READS
        else:
            status = _tell(error)
        _let_go_of_stdout()
    return status


def _result(work: Callable[[], object]) -> int:
    try:
        result = work()
    except click.exceptions.Exit as end:
        return end.exit_code
    return result if isinstance(result, int) else 0


def _tell(error: Exception) -> int:
    """Write an error to stderr; return the status to end with."""
    known = _known(error)
    if known is not error and not isinstance(error, click.ClickException) and _debugging():
        _say(clean("".join(traceback.format_exception(error)).rstrip()))
    word = "error:"
    if _is_terminal(sys.stderr) and not os.environ.get("NO_COLOR"):
        word = click.style(word, fg="red", bold=True)
    _say("\n\n".join(f"{word} {clean(str(one))}" for one in _each(known)))
    return known.exit_status


def _each(error: NbbuildError) -> Iterator[NbbuildError]:
    if isinstance(error, Problems):
        for one in error.errors:
            yield from _each(one)
    else:
        yield error


def _known(error: Exception) -> NbbuildError:
    """Return any error as one that a user can read."""
    if isinstance(error, NbbuildError):
        return error
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError):
        return _of_the_system(error)
    return internal(error)


def _usage(error: click.ClickException) -> UsageError:
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    see = f"see '{ctx.command_path if ctx else 'nbbuild'} --help'"
    if isinstance(error, click.NoSuchOption):
        known = (
            [name for param in ctx.command.get_params(ctx) for name in param.opts] if ctx else ()
        )
        near = _near_option(error.option_name, known)
        return UsageError(f"no such option: {error.option_name}", hint=near or see)
    message = error.format_message().rstrip(".")
    return UsageError(message[:1].lower() + message[1:], hint=see)


def _near_option(word: str, known: Sequence[str]) -> str:
    """Return "did you mean '--x'?" for an option that `word` begins, or is a slip of, else ""."""
    begun = [name for name in known if word.startswith("--") and name.startswith(word)]
    # Without the dashes, which all of them share.
    bare = {name.lstrip("-"): name for name in known if name.startswith("--")}
    near = difflib.get_close_matches(word.lstrip("-"), bare, n=1, cutoff=0.7)
    found = [*begun, *(bare[name] for name in near)]
    return f"did you mean '{found[0]}'?" if found else ""


def _of_the_system(error: OSError) -> NbbuildError:
    names = [name for name in (error.filename, error.filename2) if name is not None]
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return NbbuildError(
        error.strerror or str(error) or type(error).__name__,
        facts=[
            ("file", os.fsdecode(name) if isinstance(name, bytes) else f"{name}") for name in names
        ],
        hint="make room there and run nbbuild again" if full else "NBBUILD_DEBUG=1 shows where",
    )


def _debugging() -> bool:
    return os.environ.get("NBBUILD_DEBUG", "") not in ("", "0")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _is_gone(stream: TextIO) -> bool:
    """Tell whether nobody reads from the pipe that `stream` writes to.

    A broken pipe may also be one between our own processes, and that must not end quietly.
    """
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(found & (select.POLLERR | select.POLLHUP) for _, found in poll.poll(0))
    except (OSError, ValueError):
        return False


def _let_go_of_stdout() -> None:
    """Send what is still buffered nowhere if it cannot be written: Python would say so at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _point_nowhere(sys.stdout)


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _point_nowhere(sys.stderr)


def _point_nowhere(stream: TextIO) -> None:
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return  # no stream of the system's: nothing is flushed to it
