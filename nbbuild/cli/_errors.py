"""Turn how a verb ended into an exit status, and its errors into messages on stderr.

0 all well, 1 a notebook failed, 2 usage or configuration, 3 the cache or nbbuild itself, 130
interrupted, 141 when whoever read our output has gone (what a shell shows for SIGPIPE).
"""

from __future__ import annotations

import errno
import os
import re
import select
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TextIO

import click

from nbbuild.cli._signals import INTERRUPTED
from nbbuild.cli.render import emit
from nbbuild.errors import NbbuildError, Problems, UsageError, did_you_mean, internal
from nbbuild.text.printable import printed

NOBODY_READS = 141


def exit_status(work: Callable[[], object], *, as_json: Callable[[], bool] = bool) -> int:
    """Do the work and return the exit status: the int that `work` returned, else 0.

    What `work` raises is printed on stderr and, if `as_json` then says so, as JSON on stdout, too.
    SystemExit passes.
    """
    try:
        status = _result(work)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        _say("\ninterrupted" if _is_terminal(sys.stderr) else "interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: nothing is above us
        unread = _unread(error)
        if unread:
            status = unread
        else:
            status = _tell(error)
            if as_json():
                _emit(error, status)
        _let_go_of_stdout()
    return status


def _unread(error: Exception) -> int:
    """Return the status to end with if what we say cannot be written any more; else 0.

    A reader has gone, or a terminal was closed: that is an interrupt, even if a write fails before
    SIGHUP arrives.
    """
    if isinstance(error, BrokenPipeError) and _is_gone(sys.stdout):
        return NOBODY_READS
    if isinstance(error, OSError) and error.errno == errno.EIO:
        return INTERRUPTED if _is_gone(sys.stdout) or _is_gone(sys.stderr) else 0
    return 0


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
        _say(printed("".join(traceback.format_exception(error)).rstrip()))
    word = "error:"
    if _is_terminal(sys.stderr) and not os.environ.get("NO_COLOR"):
        word = click.style(word, fg="red", bold=True)
    _say("\n\n".join(f"{word} {printed(str(one))}" for one in _each(known)))
    return known.exit_status


def _emit(error: Exception, status: int) -> None:
    """Write an error to stdout as JSON."""
    errors = [
        {"what": one.what, "facts": [list(fact) for fact in one.facts], "hint": one.hint}
        for one in _each(_known(error))
    ]
    with suppress(OSError, ValueError):  # a stdout that is closed or full has been told
        emit({"exit_status": status, "errors": errors})


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
    """Return what click finds wrong with a command line, in our words."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    path = ctx.command_path if ctx else "nbbuild"
    see = f"see '{path} --help'"
    if isinstance(error, click.NoSuchOption):
        known = (
            [name for param in ctx.command.get_params(ctx) for name in param.opts] if ctx else ()
        )
        near = _near_option(error.option_name, known)
        return UsageError(f"no such option: {error.option_name}", hint=near or see)
    if isinstance(error, click.MissingParameter) and isinstance(error.param, click.Argument):
        name = error.param.make_metavar(ctx) if ctx else error.param.human_readable_name
        name = name.removesuffix("...")
        return UsageError(f"'{path}' needs a{'n' * (name[0] in 'AEIO')} {name}", hint=see)
    if isinstance(error, click.BadOptionUsage):
        return UsageError(f"{error.option_name} needs a value", hint=see)
    if isinstance(error, click.BadParameter) and error.param is not None:
        return _wrong_value(error, error.param, see)
    message = error.format_message().rstrip(".")
    many = re.fullmatch(r"Got unexpected extra arguments? \((.*)\)", message)
    if many:
        return UsageError(f"'{path}' takes fewer words: {many[1]} is too much", hint=see)
    return UsageError(message[:1].lower() + message[1:], hint=see)


def _wrong_value(error: click.BadParameter, param: click.Parameter, see: str) -> UsageError:
    """Return what is wrong with the value of an option, or with a word."""
    name = param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
    said = re.search(r"'(.*)'", error.message.split(" is not ")[0])
    value = said[1] if said else ""
    if isinstance(param.type, click.Choice):
        choices = [str(one) for one in param.type.choices]
        hint = did_you_mean(value, choices) or f"choose one of {', '.join(choices)}"
        return UsageError(f"{name} cannot be '{value}'", hint=hint)
    message = error.message.rstrip(".")
    return UsageError(f"{name}: {message[:1].lower() + message[1:]}", hint=see)


def _near_option(word: str, known: Sequence[str]) -> str:
    """Return "did you mean '--x'?" for an option that `word` begins, or is a slip of, else ""."""
    if not word.startswith("--"):
        return ""
    # Without the dashes, which all of them share.
    bare = {name[2:] for name in known if name.startswith("--")}
    return did_you_mean(word[2:], bare).replace("'", "'--", 1)


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
    """Tell whether nobody reads from the pipe or terminal that `stream` writes to.

    A broken pipe may also be one between our own processes, and EIO come from a disk: neither must
    end quietly.
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
