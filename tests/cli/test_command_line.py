"""Help, mistakes on the command line, and how they are told: as text and as JSON."""

import json

import click
import pytest
from click.testing import CliRunner

from nbbuild.cli import VERBS, group, load
from nbbuild.errors import did_you_mean

SCREEN = 40  # lines


def run(*words):
    return CliRunner().invoke(group, words, env={"COLUMNS": "80"})


def refused(*words):
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verbs():
    """Yield the words of each verb, those inside other verbs included."""
    for verb in VERBS:
        yield (verb,)
        command = load(verb)
        if isinstance(command, click.Group):
            yield from ((verb, inner) for inner in command.commands)


@pytest.mark.parametrize("words", [(), *verbs()], ids=" ".join)
def test_help_fits_the_screen_and_begins_with_examples(words):
    done = run("help", *words)
    assert done.exit_code == 0
    assert done.stdout == run(*words, "--help").stdout == run(*words, "-h").stdout
    lines = done.stdout.splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80
    usage = lines.index("") + 1
    verb = () if words == ("build",) else words
    assert lines[usage].startswith(f"  {' '.join(('nbbuild', *verb))}")


def test_every_example_of_the_help_is_understood():
    for words in verbs():
        command = load(words[0])
        for inner in words[1:]:
            command = command.commands[inner]
        for line in command.examples:
            example = line.split(" > ")[0].split()
            assert example[0] == "nbbuild"
            said = example[1 + len(words) :] if example[1:2] == [words[0]] else example[1:]
            if not isinstance(command, click.Group):
                command.make_context("x", said, resilient_parsing=False)


def test_help_of_what_is_no_verb():
    assert refused("help", "buld") == (
        "error: 'nbbuild' has no verb 'buld'\n\nhint: did you mean 'build'?\n"
    )
    assert refused("help", "cache", "lst") == (
        "error: 'nbbuild cache' has no verb 'lst'\n\nhint: did you mean 'list'?\n"
    )
    assert refused("help", "status", "x") == (
        "error: 'nbbuild status' has no verb 'x'\n\nhint: `nbbuild help` lists the verbs\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("cache", "'nbbuild cache' needs a verb\n  verbs: add, cat, clear, export, gc, import, "
         "info, keygen, list, path, pull, push, remove, verify\n\n"
         "hint: `nbbuild help cache` says what each of them does"),
        ("export", "'nbbuild export' needs a verb\n  verbs: jupyter-cache, makefile, mystmd\n\n"
         "hint: `nbbuild help export` says what each of them does"),
        ("export mystm", "'nbbuild export' has no verb 'mystm'\n"
         "  verbs: jupyter-cache, makefile, mystmd\n\nhint: did you mean 'mystmd'?"),
        ("show", "'nbbuild show' needs a TARGET\n\nhint: see 'nbbuild show --help'"),
        ("merge a.ipynb", "'nbbuild merge' needs an OUT\n\nhint: see 'nbbuild merge --help'"),
        ("show a b", "'nbbuild show' takes fewer words: b is too much\n\n"
         "hint: see 'nbbuild show --help'"),
        ("-j", "-j needs a value\n\nhint: see 'nbbuild --help'"),
        ("-j abc", "-j takes a whole number, 1 or more, not 'abc'\n\nhint: `-j 4`"),
        ("verify --seed -1", "--seed takes a whole number, 0 or more, not '-1'\n\n"
         "hint: `--seed 4`"),
        ("-C nowhere", "-C: 'nowhere' does not exist\n\nhint: name the folder to work in"),
        ("graph --format dott", "--format cannot be 'dott'\n\nhint: did you mean 'dot'?"),
        ("graph --format xyz", "--format cannot be 'xyz'\n\n"
         "hint: choose one of tree, mermaid, dot, json"),
        ("status --jsn", "no such option: --jsn\n\nhint: did you mean '--json'?"),
        ("-n -q", "-n and -q contradict each other: one says what would run, the other only "
         "whether\n\nhint: leave one of them out"),
        ("-s -v", "-s and -v contradict each other: one says less, the other more\n\n"
         "hint: leave one of them out"),
        ("-q -t", "-q and -t contradict each other: one only asks, the other accepts what is "
         "there\n\nhint: leave one of them out"),
    ],
    ids=lambda text: text if len(text) < 20 else "",
)  # fmt: skip
def test_mistakes_are_told_in_our_own_words(words, message):
    assert refused(*words.split()) == f"error: {message}\n"


def test_with_json_an_error_is_json_too(here):
    done = run("status", "--json")
    assert done.exit_code == 2
    hint = "`nbbuild init` writes one"
    what = f"there is no 'jcache.toml' in '{here}' or in a folder above it"
    assert json.loads(done.stdout) == {
        "exit_status": 2,
        "errors": [{"what": what, "facts": [], "hint": hint}],
    }
    assert done.stderr == f"error: {what}\n\nhint: {hint}\n"
    done = run("-j", "x", "--json")
    assert [one["what"] for one in json.loads(done.stdout)["errors"]] == [
        "-j takes a whole number, 1 or more, not 'x'"
    ]
    (here / "jcache.toml").write_text("[project]\nnotebook = []\n[execution]\njobs = 'x'\n")
    done = run("list", "--json")
    errors = json.loads(done.stdout)["errors"]
    assert len(errors) == 2
    assert errors[0]["hint"] == "did you mean 'notebooks'?"
    # Nothing but data goes to stdout without it.
    assert run("list").stdout == ""


def near(word, *known):
    return did_you_mean(word, known).removeprefix("did you mean ").strip("'?")


def test_only_what_is_near_is_suggested():
    assert near("buld", "build", "diff") == "build"
    assert near("stauts", "status") == "status"  # two letters changed places
    assert near("timout", "timeout", "jobs") == "timeout"
    assert near("noteboks", "notebooks") == "notebooks"
    assert near("model", "chapters/model.ipynb") == "chapters/model.ipynb"
    assert near("model.ipynb", "chapters/model.ipynb") == "chapters/model.ipynb"
    assert near("chapters/modle.ipynb", "chapters/model.ipynb") == "chapters/model.ipynb"
    assert near("work", "workers", "warm") == "workers"  # begun
    # A folder or a suffix that two names share does not make them alike.
    assert near("chapters/one.ipynb", "chapters/two.ipynb") == ""
    assert near("summary.ipynb", "cleaning.ipynb") == ""
    assert near("report", "remove", "render") == ""
    assert near("go", "gc", "git") == near("b.ipynb", "a.ipynb") == ""
    assert near("aa.ipynb", "a.ipynb", "b.ipynb") == "a.ipynb"
    assert near("xyz", "abc") == ""
    assert near("wo", "workers", "words") == ""
    assert near("", "a") == near("x" * 5000, "y" * 5000) == ""
