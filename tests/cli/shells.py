"""Type into a real shell, as a person does, and see with which words the command is then called."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time

PATIENCE = 60  # seconds until a shell that says nothing has failed

# Completes as nbbuild does; called without that, it shows its words and does nothing.
PROGRAM = """#!/bin/sh
if [ -n "$_NBBUILD_COMPLETE" ] || [ "$1" = completion ]; then exec {python} -m nbbuild "$@"; fi
printf '<%s>' "$@"
echo ' END'
"""

STARTS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}


def there(shell):
    return shutil.which(shell) is not None


def environment(folder):
    """Return variables with which a shell finds our program, and no settings of anybody."""
    place = folder / "programs" / "nbbuild"
    place.parent.mkdir(parents=True)
    place.write_text(PROGRAM.format(python=sys.executable))
    place.chmod(0o755)
    home = folder / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if k in ("LANG", "LC_ALL", "PYTHONPATH")}
    return {
        **kept,
        "PATH": f"{place.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "ZDOTDIR": str(home),
        "TERM": "dumb",
    }


class Typed:
    """A shell on a terminal of its own."""

    def __init__(self, shell, *, cwd, env):
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            STARTS[shell],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        os.close(theirs)
        self.transcript = ""
        self.run("PS1='ready> '; unset zle_bracketed_paste; echo 'EN''D'")
        self.run(f"eval \"$(nbbuild completion {shell})\"; echo 'EN''D'")

    def run(self, line):
        """Type a line; return what is shown until the word END is."""
        return self._type(f"{line}\n")

    def words(self, typed):
        """Type a line, with ⇥ for the tab key; return the words of the command in brackets."""
        return _last_words(self._type(f"{typed}\n".replace("⇥", "\t")))

    def close(self):
        os.close(self._ours)
        self._process.kill()
        self._process.wait()

    def _type(self, text):
        os.write(self._ours, text.encode())
        shown, until = "", time.monotonic() + PATIENCE
        while "END" not in shown:
            ready, _, _ = select.select([self._ours], [], [], until - time.monotonic())
            assert ready, f"the shell has not answered {text!r}: {shown!r}"
            shown += os.read(self._ours, 4096).decode(errors="replace")
        self.transcript += shown
        return shown


def _last_words(shown):
    line = next(line for line in reversed(shown.splitlines()) if line.endswith(" END"))
    return line[line.index("<") :].removesuffix(" END")
