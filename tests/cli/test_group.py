"""Which verb is meant, what it is given, and how the command ends."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from nbbuild import __version__
from nbbuild.cli import VERBS, load
from nbbuild.cli._group import VerbGroup
from nbbuild.cli._options import project_options
from nbbuild.errors import ConfigError, Problems, StoreError, UsageError

CALLS = []


@click.command("build")
@click.argument("targets", nargs=-1)
@click.option("-j", "--jobs", type=int)
@click.option("-k", "keep", is_flag=True)
@click.option("-v", "verbose", count=True)
@project_options
def build(**given):
    """Build."""
    CALLS.append(("build", {k: v for k, v in given.items() if v not in (None, False, 0, ())}))
    return 1 if "failing" in given["targets"] else None


@click.command("status")
@click.option("--json", "as_json", is_flag=True)
@project_options
def status(as_json, directory, file):
    CALLS.append(("status", as_json, str(directory), file and str(file)))


@click.group("cache")
@project_options
def cache(directory, file):
    """Look."""


@cache.command("list")
@project_options
def cache_list(directory, file):
    CALLS.append(("cache list", str(directory)))


FAKES = {"build": build, "status": status, "cache": cache}


def verbs_group(loaded=None, **more):
    verbs = {**FAKES, **more}

    def load(verb):
        if loaded is not None:
            loaded.append(verb)
        return verbs[verb]

    return VerbGroup("nbbuild", verbs={verb: f"Do {verb}." for verb in verbs}, load=load)


def run(*args, group=None):
    return CliRunner().invoke(group or verbs_group(), args)


def did(*args):
    result = run(*args)
    assert result.exit_code == 0, result.output
    return CALLS.pop()


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()


def built(**given):
    return ("build", {"directory": Path(), **given})


def test_without_a_verb_everything_goes_to_build():
    assert did() == built()
    assert did("-j", "4", "-k", "a.ipynb") == built(jobs=4, keep=True, targets=("a.ipynb",))
    assert did("a.ipynb", "-j4") == built(jobs=4, targets=("a.ipynb",))
    assert did("-kj", "4") == built(jobs=4, keep=True)
    assert did("--jobs=4", "-vv") == built(jobs=4, verbose=2)
    assert did("-C", "sub", "-k") == built(directory=Path("sub"), keep=True)


def test_the_first_word_decides_and_not_the_value_of_an_option():
    assert did("status") == ("status", False, ".", None)
    assert did("-f", "status") == built(file=Path("status"))
    assert did("-fstatus") == built(file=Path("status"))
    assert did("-C", "sub", "status", "--json") == ("status", True, "sub", None)
    assert did("a.ipynb", "status") == built(targets=("a.ipynb", "status"))


def test_a_target_with_a_verbs_name_can_be_built():
    assert did("build", "status") == built(targets=("status",))
    assert did("--", "status") == built(targets=("status",))
    assert did("-k", "--", "status", "-j") == built(keep=True, targets=("status", "-j"))


def test_folder_and_file_are_taken_before_and_after_the_verb():
    wanted = ("status", False, "sub", "x.toml")
    assert did("-C", "sub", "-f", "x.toml", "status") == wanted
    assert did("status", "-C", "sub", "--file=x.toml") == wanted
    assert did("-C", "sub", "cache", "list") == ("cache list", "sub")
    assert did("cache", "list", "-C", "sub") == ("cache list", "sub")


def test_a_verb_is_loaded_only_when_it_is_asked_for():
    for args, wanted in (
        (["status"], {"status"}),
        (["-C", "sub", "status"], {"build", "status"}),
        (["--help"], {"build"}),
        (["--version"], {"build"}),
    ):
        loaded = []
        run(*args, group=verbs_group(loaded))
        assert set(loaded) == wanted, args


def test_the_help_shows_the_verbs_and_the_main_options_of_a_build():
    for args in (["--help"], ["-h"], ["-k", "--help"], ["a.ipynb", "-h"]):
        result = run(*args)
        assert result.exit_code == 0
        assert result.stdout.startswith(
            "Usage: nbbuild [OPTIONS] [TARGET]...\n       nbbuild VERB [OPTIONS] [ARGUMENT]...\n"
        )
        for line in ("  status  Do status.", "  -j, --jobs INTEGER", "  --version "):
            assert line in result.stdout
    assert run("status", "--help").stdout.startswith("Usage: nbbuild status [OPTIONS]")
    assert run("--help", "status").stdout.startswith("Usage: nbbuild status [OPTIONS]")


def test_the_version():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"nbbuild {__version__}\n")


# -- how it ends -------------------------------------------------------------------------------


def raising(error):
    @click.command("status")
    def fails():
        raise error

    return verbs_group(status=fails)


def test_the_int_that_a_verb_returns_is_the_exit_status():
    assert run("a").exit_code == 0
    assert run("failing").exit_code == 1


def test_an_error_is_told_on_stderr_and_has_its_status():
    error = ConfigError("'x' is no key", facts=[("in", "jcache.toml")], hint="remove it")
    result = run("status", group=raising(error))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: 'x' is no key\n  in: jcache.toml\n\nhint: remove it\n"
    assert run("status", group=raising(StoreError("no"))).exit_code == 3


def test_each_of_several_errors_is_told():
    errors = Problems([UsageError("a"), Problems([StoreError("b", hint="h")])])
    result = run("status", group=raising(errors))
    assert (result.exit_code, result.stderr) == (3, "error: a\n\nerror: b\n\nhint: h\n")


def test_an_unknown_option_has_a_suggestion():
    result = run("--jbos", "4")
    assert result.exit_code == 2
    assert result.stderr == "error: no such option: --jbos\n\nhint: did you mean '--jobs'?\n"
    result = run("status", "-Z")
    assert result.exit_code == 2
    assert result.stderr == "error: no such option: -Z\n\nhint: see 'nbbuild status --help'\n"


def test_a_wrong_value_is_a_usage_error():
    result = run("-j", "many")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: -j: 'many' is not a valid integer\n\nhint: see 'nbbuild build --help'\n"
    )
    result = run("-C", "nowhere")
    assert result.exit_code == 2
    assert "'nowhere' does not exist" in result.stderr


def test_a_full_disk_is_no_bug():
    result = run("status", group=raising(OSError(28, "No space left on device", "/a/b")))
    assert result.exit_code == 3
    assert result.stderr == (
        "error: No space left on device\n  file: /a/b\n\n"
        "hint: make room there and run nbbuild again\n"
    )


def test_a_bug_is_called_one_and_its_traceback_can_be_had(monkeypatch):
    group = raising(KeyError("x"))
    result = run("status", group=group)
    told = (
        "error: nbbuild itself failed: KeyError: 'x'\n\n"
        "hint: this is a bug, please report it; NBBUILD_DEBUG=1 shows the traceback\n"
    )
    assert (result.exit_code, result.stderr) == (3, told)
    monkeypatch.setenv("NBBUILD_DEBUG", "1")
    result = run("status", group=group)
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.endswith(told)


def test_a_pipe_that_breaks_inside_nbbuild_does_not_end_it_quietly():
    result = run("status", group=raising(BrokenPipeError(32, "Broken pipe")))
    assert result.exit_code == 3
    assert result.stderr.startswith("error: Broken pipe\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_130(error):
    result = run("status", group=raising(error))
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_messages_hold_no_control_characters():
    result = run("status", group=raising(ConfigError("a\x1b[2Jb\x07")))
    assert result.stderr == "error: a\\x1b[2Jb\\x07\n"


@pytest.mark.parametrize("words", [["report", "\0"], ["-f", "a\0b"], ["\0"]])
def test_a_word_with_a_nul_is_refused_whatever_takes_it(words):
    result = CliRunner().invoke(verbs_group(), words)
    assert result.exit_code == 2
    assert result.stderr == "error: a word holds a NUL, which no name can hold\n"


# -- the real process --------------------------------------------------------------------------

PROGRAM = """
import sys
import click
from nbbuild.cli._group import VerbGroup

@click.command("build")
@click.argument("what", nargs=-1)
def build(what):
    if what == ("many",):
        for number in range(100_000):
            click.echo(number)
    if what == ("red",):
        raise KeyError(1)
    if what == ("late",):
        click.echo("begun")
        sys.stdin.read()
        click.echo("more")

VerbGroup("nbbuild", verbs={"build": ""}, load=lambda verb: build).main()
"""


def process(*args, **options):
    return subprocess.run([*args], check=False, capture_output=True, text=True, **options)


def test_a_reader_that_goes_away_ends_the_command_quietly():
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "many"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout.readline() == b"0\n"
    program.stdout.close()
    assert (program.stderr.read(), program.wait()) == (b"", 141)
    program.stderr.close()


def test_a_terminal_that_is_closed_is_an_interrupt_even_before_the_signal_comes():
    """What is written then fails with EIO, which a failing disk gives, too."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "late"],
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    assert os.read(ours, 100) == b"begun\r\n"
    os.close(ours)
    assert program.communicate()[1] == b""
    assert program.returncode == 130


EARLY = """
import signal
from nbbuild import __main__

def early(words):
    signal.raise_signal(signal.SIGINT)

__main__.uptodate.answer = early
__main__.script()
"""


def test_an_interrupt_that_comes_before_any_verb_is_one():
    result = process(sys.executable, "-c", EARLY)
    assert (result.returncode, result.stderr) == (130, "interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_told_once():
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, "many"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 3
    assert result.stderr == (
        "error: No space left on device\n\nhint: make room there and run nbbuild again\n"
    )


def test_without_stderr_the_status_is_still_right():
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([sys.executable, "-c", PROGRAM, "red"], check=False, stderr=write)
    os.close(write)
    assert result.returncode == 3


def on_a_terminal(**more):
    """Return what an error looks like on a real terminal."""
    ours, theirs = pty.openpty()
    environ = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM, "red"], check=False, stderr=theirs, env={**environ, **more}
    )
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    return shown


def test_the_word_error_is_red_on_a_terminal_unless_colours_are_not_wanted():
    text = " nbbuild itself failed: KeyError: 1\r\n"
    assert on_a_terminal().startswith(f"\x1b[31m\x1b[1merror:\x1b[0m{text}")
    assert on_a_terminal(NO_COLOR="1").startswith(f"error:{text}")


def test_the_shell_can_complete_verbs():
    words = {"COMP_LINE": "nbbuild st", "_NBBUILD_COMPLETE": "complete"}
    result = process(sys.executable, "-m", "nbbuild", env={**os.environ, **words})
    assert (result.returncode, result.stdout) == (0, f"word\tstatus\t{VERBS['status']}\n")


def test_python_m_nbbuild_is_the_command():
    result = process(sys.executable, "-m", "nbbuild", "--version")
    assert (result.returncode, result.stdout) == (0, f"nbbuild {__version__}\n")


HELP = """
import sys
from nbbuild.__main__ import main
sys.argv = ["nbbuild", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
heavy = {"doit", "networkx", "nbformat", "jupytext", "nbclient", "rich", "yaml", "sqlite3"}
print(sorted(heavy & set(sys.modules)))
"""


def test_the_help_imports_nothing_heavy():
    result = process(sys.executable, "-c", HELP)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"
    for verb, line in VERBS.items():
        assert f"  {verb:<10}  {line}" in result.stdout


def test_each_verb_has_its_command():
    assert {verb: load(verb).name for verb in VERBS} == {verb: verb for verb in VERBS}


def test_the_script_ends_with_the_status_after_exit_hooks_and_all_that_was_said(tmp_path):
    program = (
        "import atexit, sys; from nbbuild.__main__ import script\n"
        "atexit.register(print, 'a hook')\n"
        "sys.argv = ['nbbuild', *sys.argv[1:]]\n"
        "script()"
    )

    def ended(*words, **how):
        return subprocess.run(
            [sys.executable, "-c", program, *words], cwd=tmp_path, text=True, check=False, **how
        )

    told = ended("--version", capture_output=True)
    assert told.returncode == 0
    assert told.stdout.splitlines()[1:] == ["a hook"]
    failed = ended("status", capture_output=True)
    assert (failed.returncode, failed.stdout) == (2, "a hook\n")
    assert "jcache.toml" in failed.stderr
    full_device = Path("/dev/full")
    if full_device.exists():  # on Linux
        with full_device.open("w") as full:
            assert ended("--version", stdout=full, stderr=subprocess.PIPE).returncode != 0
