"""What cannot be built is refused before anything runs: one clear message, status 2, no trace."""

import json

import pytest

LISTED = '[project]\nnotebooks = ["*.ipynb"]\n'
FIRST = LISTED + '[[notebook]]\npath = "a.ipynb"\n'
RELATIVE = "paths are relative to the folder of jcache.toml"
UNMADE = f"hint: {RELATIVE}; if a notebook makes it, declare it there as one of its `artefacts`\n"
ONE_WRITER = "hint: every file has one writer: narrow one of the patterns"


def refused(project, *words):
    """Run a command that must refuse; check that it left no trace, and return its message."""
    before = project.files()
    done = project.nbbuild(*words)
    assert (done.status, done.out, done.ran) == (2, "", []), done.err
    assert project.files() == before
    assert not project.exists(".nbbuild")
    assert "Traceback" not in done.err
    return done.err.replace(str(project.root), "ROOT")


@pytest.fixture
def three(project):
    """A project of three notebooks."""
    for name in "abc":
        project.notebook(f"{name}.ipynb")
    return project


# -- jcache.toml by itself ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            '[project\nnotebooks = ["a.ipynb"]',
            "error: 'jcache.toml' is not TOML: expected ']' at the end of a table declaration\n"
            "  at: jcache.toml, line 1, column 9\n"
            "  line: [project\n"
            "\n"
            "hint: quote strings, put lists in brackets, and give every key and table once\n",
        ),
        (
            FIRST + 'artifacts = ["x.csv"]',
            "error: unknown key 'artifacts'\n"
            '  in: jcache.toml, [[notebook]] 1 (path = "a.ipynb")\n'
            "\n"
            "hint: did you mean 'artefacts'?\n",
        ),
        (
            "[exection]\njobs = 1",
            "error: unknown table [exection]\n"
            "  in: jcache.toml\n"
            "\n"
            "hint: did you mean [execution]?\n",
        ),
        (
            '[project]\nnotebooks = "a.ipynb"\n[execution]\njobs = "4"',
            "error: 'notebooks' must be a list, not the string \"a.ipynb\"\n"
            "  in: jcache.toml, [project]\n"
            "\n"
            'hint: write notebooks = ["a.ipynb"]\n'
            "\n"
            'error: \'jobs\' must be a whole number from 1, or "auto", not the string "4"\n'
            "  in: jcache.toml, [execution]\n"
            "\n"
            "hint: write jobs = 4\n",
        ),
        (
            FIRST + 'artefacts = ["../x.csv"]',
            'error: artefact "../x.csv" lies outside the root\n'
            '  in: jcache.toml, [[notebook]] 1 (path = "a.ipynb")\n'
            "\n"
            "hint: artefacts lie below the folder of jcache.toml; "
            "write their paths relative to it\n",
        ),
        (
            FIRST + 'artefacts = [".nbbuild/x"]',
            'error: artefact ".nbbuild/x" lies in nbbuild\'s own folder\n'
            '  in: jcache.toml, [[notebook]] 1 (path = "a.ipynb")\n'
            "\n"
            "hint: write to another folder\n",
        ),
        (
            FIRST + 'assets = ["{contry}.csv"]\nparameters = { country = "UK" }',
            "error: '{contry}' in '{contry}.csv' is not a parameter\n"
            "  in: jcache.toml, [[notebook]] 1\n"
            "  known: country, stem\n"
            "\n"
            "hint: did you mean 'country'?\n",
        ),
    ],
    ids=["broken", "key", "table", "types", "outside", "own-folder", "parameter"],
)
def test_a_configuration_that_is_wrong_by_itself(three, config, message):
    three.write("jcache.toml", config)
    assert refused(three) == message


def test_a_file_a_folder_or_a_project_that_is_not_there(project):
    assert refused(project) == (
        "error: there is no 'jcache.toml' in 'ROOT' or in a folder above it\n"
        "\n"
        "hint: `nbbuild init` writes one\n"
    )
    assert refused(project, "-C", "nowhere") == (
        "error: -C: 'nowhere' does not exist\n\nhint: name the folder to work in\n"
    )
    project.write("jcache.toml", "")
    for words in ((), ("list",), ("status",)):
        assert refused(project, *words) == (
            "error: 'jcache.toml' lists no notebooks\n"
            "  in: ROOT/jcache.toml\n"
            "\n"
            "hint: name them in [project] notebooks; `nbbuild init --force` writes a file that "
            "does, and keeps a copy of this one\n"
        )
    project.config("")
    assert refused(project) == (
        "error: no file matches '**/*.ipynb'\n"
        "  declared in: jcache.toml, [project] notebooks\n"
        "\n"
        f"hint: {RELATIVE}\n"
    )


# -- against what lies there -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            '[project]\nnotebooks = ["*.ipynb", "chapters/*.md"]',
            "error: no file matches 'chapters/*.md'\n"
            "  declared in: jcache.toml, [project] notebooks\n"
            "\n"
            f"hint: {RELATIVE}\n",
        ),
        (
            '[project]\nnotebooks = ["a.ipynb", "z.ipynb"]',
            "error: the notebook 'z.ipynb' does not exist\n"
            "  declared in: jcache.toml, [project] notebooks\n"
            "\n"
            f"hint: {RELATIVE}\n",
        ),
        (
            '[project]\nnotebooks = ["README.md"]\nexclude = ["*.md"]',
            "error: [project] exclude leaves nothing of 'README.md'\n"
            "  declared in: jcache.toml, [project] notebooks\n"
            "\n"
            "hint: remove one of the two patterns\n",
        ),
        (
            '[project]\nnotebooks = ["*.md"]',
            "error: no file that matches '*.md' is a notebook\n"
            "  declared in: jcache.toml, [project] notebooks\n"
            "  matches: README.md\n"
            "\n"
            "hint: a text notebook has a header with 'kernelspec' or 'jupytext', "
            "or a {code-cell}\n",
        ),
        (
            LISTED + '[[notebook]]\npath = "aa.ipynb"',
            "error: the notebook 'aa.ipynb' does not exist\n"
            "  declared in: jcache.toml, [[notebook]] 1\n"
            "\n"
            "hint: did you mean 'a.ipynb'?\n",
        ),
        (
            FIRST + 'assets = ["data/x.csv"]',
            "error: 'data/x.csv', needed by 'a.ipynb', does not exist\n"
            "  declared in: jcache.toml, [[notebook]] 1, assets\n"
            "\n" + UNMADE,
        ),
        (
            FIRST + 'assets = ["data/*.csv"]',
            "error: no file matches 'data/*.csv', needed by 'a.ipynb'\n"
            "  declared in: jcache.toml, [[notebook]] 1, assets\n"
            "\n" + UNMADE,
        ),
        (
            LISTED + '[environment]\nfiles = ["requirements.lock"]',
            "error: 'requirements.lock' does not exist\n"
            "  declared in: jcache.toml, [environment] files\n"
            "\n"
            f"hint: {RELATIVE}\n",
        ),
        (
            LISTED + '[environment]\ncommands = ["echo no R here >&2; exit 3"]',
            "error: the command 'echo no R here >&2; exit 3' ended with status 3\n"
            "  declared in: jcache.toml, [environment] commands\n"
            "  it said: no R here\n"
            "\n"
            "hint: its output counts as an input of every notebook, so it has to work\n",
        ),
        (
            FIRST + 'modules = ["tols"]',
            "error: module 'tols' is not in the project\n"
            "  declared in: jcache.toml, [[notebook]] 1\n"
            "  looked in: .\n"
            "\n"
            "hint: did you mean 'tools'?\n",
        ),
        (
            FIRST + 'packages = ["ipykernell"]',
            "error: package 'ipykernell' is not installed for the kernel 'python3'\n"
            "  declared in: jcache.toml, [[notebook]] 1, packages\n"
            "\n"
            "hint: did you mean 'ipykernel'?\n",
        ),
        (
            LISTED
            + '[environment]\npackages = ["ipykernell"]\nfiles = ["x.lock", "y.lock", "tools.py"]',
            "error: package 'ipykernell' is not installed for the kernel 'python3'\n"
            "  declared in: jcache.toml, [environment] packages\n"
            "\n"
            "hint: did you mean 'ipykernel'?\n"
            "\n"
            "error: 'x.lock' does not exist\n"
            "  declared in: jcache.toml, [environment] files\n"
            "\n"
            f"hint: {RELATIVE}\n"
            "\n"
            "error: 'y.lock' does not exist\n"
            "  declared in: jcache.toml, [environment] files\n"
            "\n"
            f"hint: {RELATIVE}\n",
        ),
        (
            LISTED + '[[notebook]]\npath = "a.ipynb"\n'
            '[[notebook]]\npath = "*"\npackages = ["ipykernell"]\n[[notebook]]\npath = "*"',
            "error: package 'ipykernell' is not installed for the kernel 'python3'\n"
            "  declared in: jcache.toml, [[notebook]] 2, packages\n"
            "\n"
            "hint: did you mean 'ipykernel'?\n",
        ),
        (
            FIRST + 'assets = ["data/*.csv"]\nartefacts = ["data/out.csv"]',
            "error: no file matches 'data/*.csv', needed by 'a.ipynb'\n"
            "  declared in: jcache.toml, [[notebook]] 1, assets\n"
            "\n" + UNMADE,
        ),
        (
            FIRST + 'modules = ["gen.params"]\n'
            '[[notebook]]\npath = "b.ipynb"\nartefacts = ["gen/*.py"]',
            "error: module 'gen.params' is not in the project\n"
            "  declared in: jcache.toml, [[notebook]] 1\n"
            "  looked in: .\n"
            "  made by: b.ipynb, as 'gen/params.py'\n"
            "\n"
            "hint: modules are looked for before anything runs: keep this one in the project, "
            "or name it in `assets`\n",
        ),
        (
            FIRST + 'modules = ["gen/params.py"]\n'
            '[[notebook]]\npath = "b.ipynb"\nartefacts = ["gen"]',
            "error: module 'gen/params.py' does not exist\n"
            "  declared in: jcache.toml, [[notebook]] 1\n"
            "  made by: b.ipynb, as 'gen/params.py'\n"
            "\n"
            "hint: modules are looked for before anything runs: keep this one in the project, "
            "or name it in `assets`\n",
        ),
        (
            FIRST + 'depends_on = ["bb.ipynb"]',
            "error: 'a.ipynb' depends on 'bb.ipynb', but there is no such task\n"
            "  declared in: jcache.toml, [[notebook]] 1, depends_on\n"
            "\n"
            "hint: did you mean 'b.ipynb'?\n",
        ),
    ],
    ids=[
        *("pattern", "notebook", "excluded", "readme", "entry", "asset", "asset-glob"),
        *("environment-file", "command", "module", "package", "environment", "package-of-all"),
        *("own-artefact", "module-made", "module-file-made", "depends-on"),
    ],
)
def test_something_that_is_not_there(three, config, message):
    three.write("README.md", "# Words\n\n```\nrm -rf build\n```\n")
    three.write("tools.py", "")
    three.write("jcache.toml", config)
    assert refused(three) == message


def test_an_unknown_kernel_names_those_that_there_are(three):
    three.config('[[notebook]]\npath = "b.ipynb"\nkernel = "pythn3"')
    message = refused(three)
    assert message.startswith("error: there is no kernel 'pythn3'\n  available kernels: ")
    assert "\n\nhint: did you mean 'python3'? use another kernel for it" in message
    # Nobody needs it for the others.
    assert three.nbbuild("-n", "a.ipynb", "c.ipynb").status == 0


def test_all_problems_are_told_at_once_and_only_those_of_the_targets(three):
    three.config(
        '[[notebook]]\npath = "a.ipynb"\nassets = ["x.csv"]\n'
        '[[notebook]]\npath = "b.ipynb"\nmodules = ["nowhere"]'
    )
    message = refused(three)
    assert [line for line in message.splitlines() if line.startswith("error: ")] == [
        "error: 'x.csv', needed by 'a.ipynb', does not exist",
        "error: module 'nowhere' is not in the project",
    ]
    message = refused(three, "b.ipynb")
    assert [line for line in message.splitlines() if line.startswith("error: ")] == [
        "error: module 'nowhere' is not in the project",
    ]
    for words in (("status",), ("-n",), ("-q",), ("-t",), ("-B",), ("explain", "a.ipynb")):
        assert "'x.csv', needed by 'a.ipynb', does not exist" in refused(three, *words)


# -- against each other ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            FIRST
            + 'artefacts = ["x.csv"]\n[[notebook]]\npath = "b.ipynb"\nartefacts = ["./x.csv"]',
            "error: 'a.ipynb' and 'b.ipynb' would both write 'x.csv'\n"
            "  declared in: jcache.toml, [[notebook]] 1\n"
            "  and in: jcache.toml, [[notebook]] 2\n"
            "\n" + ONE_WRITER + "\n",
        ),
        (
            FIRST + 'artefacts = ["o/*.csv"]\n[[notebook]]\npath = "b.ipynb"\nartefacts = ["o/b*"]',
            "error: artefacts 'o/*.csv' of 'a.ipynb' and 'o/b*' of 'b.ipynb' can match one path\n"
            "  declared in: jcache.toml, [[notebook]] 1\n"
            "  and in: jcache.toml, [[notebook]] 2\n"
            "\n" + ONE_WRITER + "\n",
        ),
        (
            FIRST + 'artefacts = ["x.csv"]\nmatrix = { n = [1, 2] }',
            "error: 'a-n-1' and 'a-n-2' would both write 'x.csv'\n"
            "  declared in: jcache.toml, [[notebook]] 1\n"
            "  and in: jcache.toml, [[notebook]] 1\n"
            "\n" + ONE_WRITER + ", say with a {parameter}\n",
        ),
        (
            FIRST + 'artefacts = ["b.*"]',
            "error: artefact 'b.*' of 'a.ipynb' can match 'b.ipynb', a source notebook\n"
            "  declared in: jcache.toml, [[notebook]] 1\n"
            "\n"
            "hint: narrow the pattern, or write to another folder\n",
        ),
        (
            '[project]\nnotebooks = ["c.*"]',
            "error: 'c.ipynb' and 'c.md' would both write '_build/executed/c.ipynb'\n"
            "  declared in: jcache.toml, [project] notebooks\n"
            "  and in: jcache.toml, [project] notebooks\n"
            "\n"
            "hint: give one of them another `name`, or leave it out with [project] exclude\n",
        ),
        (
            FIRST + 'name = "x"\n[[notebook]]\npath = "a.ipynb"\nname = "x"',
            "error: two tasks of 'a.ipynb' are both named 'x'\n"
            "  declared in: jcache.toml, [[notebook]] 1\n"
            "  and in: jcache.toml, [[notebook]] 2\n"
            "\n"
            "hint: give one of them another `name`, or leave it out with [project] exclude\n",
        ),
        (
            FIRST
            + 'assets = ["c.txt"]\nartefacts = ["a.txt"]\n'
            + '[[notebook]]\npath = "b.ipynb"\nassets = ["a.txt"]\nartefacts = ["b/*.txt"]\n'
            + '[[notebook]]\npath = "c.ipynb"\nassets = ["b/x.txt"]\nartefacts = ["c.txt"]\n',
            "error: these notebooks wait for each other: a.ipynb → b.ipynb → c.ipynb → a.ipynb\n"
            "  'b.ipynb' waits for 'a.ipynb': it reads 'a.txt'\n"
            "  'c.ipynb' waits for 'b.ipynb': it reads 'b/x.txt', which 'b/*.txt' can match\n"
            "  'a.ipynb' waits for 'c.ipynb': it reads 'c.txt'\n"
            "\n"
            "hint: remove one of the assets, artefacts or depends_on that form the circle\n",
        ),
        (
            FIRST
            + 'depends_on = ["b.ipynb"]\n[[notebook]]\npath = "b.ipynb"\ndepends_on = ["a.ipynb"]',
            "error: these notebooks wait for each other: a.ipynb → b.ipynb → a.ipynb\n"
            "  'b.ipynb' waits for 'a.ipynb': jcache.toml, [[notebook]] 2, depends_on\n"
            "  'a.ipynb' waits for 'b.ipynb': jcache.toml, [[notebook]] 1, depends_on\n"
            "\n"
            "hint: remove one of the assets, artefacts or depends_on that form the circle\n",
        ),
        (
            FIRST + 'artefacts = ["a.lock"]\n[environment]\nfiles = ["*.lock"]',
            "error: every notebook needs '*.lock', which 'a.lock' of 'a.ipynb' can match\n"
            "  declared in: jcache.toml, [environment] files\n"
            "  and in: jcache.toml, [[notebook]] 1\n"
            "\n"
            "hint: remove one of the two; a notebook that reads the file can name it in `assets`\n",
        ),
    ],
    ids=[
        *("file", "patterns", "matrix", "source", "built", "names", "circle", "circle-of-two"),
        "environment",
    ],
)
def test_notebooks_that_are_in_each_others_way(three, config, message):
    three.write(
        "c.md", "---\nkernelspec:\n  name: python3\n---\n\n```{code-cell} ipython3\n1\n```\n"
    )
    three.write("jcache.toml", config)
    assert refused(three) == message


# -- the command line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("b.ipnb",),
            "error: there is no notebook, task, artefact or group 'b.ipnb'\n"
            "  project: ROOT/jcache.toml\n"
            "\n"
            "hint: did you mean 'b.ipynb'?\n",
        ),
        (
            ("explain", "a"),
            "error: there is no notebook, task, artefact or group 'a'\n"
            "  project: ROOT/jcache.toml\n"
            "\n"
            "hint: did you mean 'a.ipynb'?\n",
        ),
        (
            ("statis",),
            "error: there is no notebook, task, artefact or group 'statis'\n"
            "  project: ROOT/jcache.toml\n"
            "\n"
            "hint: did you mean the verb 'status'?\n",
        ),
        (
            ("a.ipynb", "zzz"),
            "error: there is no notebook, task, artefact or group 'zzz'\n"
            "  project: ROOT/jcache.toml\n"
            "\n"
            "hint: `nbbuild list` shows what there is\n",
        ),
        (
            ("-k", "-x"),
            "error: -k and -x contradict each other: one goes on after a failure, "
            "the other does not\n"
            "\n"
            "hint: leave one of them out\n",
        ),
        (
            ("-B", "-t"),
            "error: -B and -t contradict each other: one runs everything, the other nothing\n"
            "\n"
            "hint: leave one of them out\n",
        ),
        (
            ("-j", "0"),
            "error: -j takes a whole number, 1 or more, not '0'\n\nhint: `-j 4`\n",
        ),
        (
            ("--job", "2"),
            "error: no such option: --job\n\nhint: did you mean '--jobs'?\n",
        ),
        (
            ("--dry",),
            "error: no such option: --dry\n\nhint: did you mean '--dry-run'?\n",
        ),
        (
            ("--frob",),
            "error: no such option: --frob\n\nhint: see 'nbbuild build --help'\n",
        ),
        (
            ("show", "*.ipynb"),
            "error: '*.ipynb' means 3 tasks\n"
            "  tasks: a.ipynb, b.ipynb, c.ipynb\n"
            "\n"
            "hint: name one of them\n",
        ),
        (
            ("invalidate",),
            "error: name the TARGETs to invalidate, or use --all\n",
        ),
    ],
    ids=[
        *("near", "stem", "verb", "far", "k-x", "B-t", "jobs", "option", "begun"),
        *("no-option", "several", "none"),
    ],
)
def test_words_that_mean_nothing_or_contradict_each_other(three, words, message):
    three.config("")
    assert refused(three, *words) == message


def test_a_slip_may_have_meant_a_notebook_or_a_verb(three):
    three.config("")
    three.notebook("stats.ipynb")
    assert refused(three, "stats.ipyn").endswith("hint: did you mean 'stats.ipynb'?\n")
    assert refused(three, "stats").endswith(
        "hint: did you mean 'stats.ipynb', or the verb 'status'?\n"
    )


def test_an_unknown_executor_is_refused_also_when_there_is_nothing_to_run(project):
    project.config("")
    project.notebook("a.ipynb", log=False)
    message = refused(project, "--executor", "locl")
    assert message.startswith("error: there is no executor 'locl'\n  executors: ")
    assert message.endswith("\n\nhint: did you mean 'local'?\n")
    assert project.build() == []
    done = project.nbbuild("--executor", "locl")
    assert (done.status, done.err) == (2, message)


# -- one notebook that cannot be read ----------------------------------------------------------


def test_an_unreadable_notebook_stops_only_what_needs_it(project):
    project.config(
        '[[notebook]]\npath = "broken.ipynb"\nartefacts = ["made.txt"]\n'
        '[[notebook]]\npath = "needs.ipynb"\nassets = ["made.txt"]'
    )
    project.write("broken.ipynb", '{"cells": [')
    project.notebook("needs.ipynb")
    project.notebook("fine.ipynb")
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (2, ["fine"])
    assert {one["task"]: one["kind"] for one in done.data["outcomes"]} == {
        "broken.ipynb": "failed",
        "fine.ipynb": "executed",
        "needs.ipynb": "blocked",
    }
    assert (
        "failed broken.ipynb after 0.0 s: 'broken.ipynb' is not valid JSON\n"
        "    line: 1, column 12\n"
        "    reason: Expecting value\n"
        "    hint: restore it from version control, or fix that line\n"
        "blocked needs.ipynb: needs 'broken.ipynb', which cannot be read\n"
    ) in done.err
    assert "Traceback" not in done.err

    for words, status in {
        ("fine.ipynb",): 0,
        ("needs.ipynb",): 2,
        ("broken.ipynb",): 2,
        ("-q", "fine.ipynb"): 0,
        ("-q",): 1,
    }.items():
        done = project.nbbuild(*words)
        assert (words, done.status, done.ran) == (words, status, [])
    assert project.verdicts() == {
        "broken.ipynb": "blocked",
        "fine.ipynb": "fresh",
        "needs.ipynb": "blocked",
    }

    # Mended, it is built, and so is what waits for it.
    project.notebook("broken.ipynb", "_ = open('made.txt', 'w').write('made')")
    assert project.build() == ["broken", "needs"]


def test_an_unreadable_notebook_hides_no_problem_of_the_others(three):
    three.config('[[notebook]]\npath = "b.ipynb"\nassets = ["x.csv"]')
    three.write("a.ipynb", "<<<<<<< ours\n{}\n")
    assert refused(three).startswith("error: 'x.csv', needed by 'b.ipynb', does not exist\n")


@pytest.mark.parametrize(
    ("content", "message", "reason"),
    [
        ("", "'a.ipynb' is empty", ""),
        ("[]", "'a.ipynb' is not a notebook", "its JSON is a list, not an object"),
        (json.dumps({"cells": []}), "'a.ipynb' is not a notebook", "it has no 'nbformat' number"),
        ("<<<<<<< ours\n{}\n", "'a.ipynb' is not valid JSON", "Expecting value"),
    ],
    ids=["empty", "list", "no-notebook", "conflict"],
)
def test_what_is_wrong_with_a_notebook_is_told(project, content, message, reason):
    project.config("")
    project.write("a.ipynb", content)
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (2, [])
    (outcome,) = done.data["outcomes"]
    assert (outcome["kind"], outcome["failure"]["message"]) == ("failed", message)
    assert reason in outcome["failure"]["traceback"]
    assert outcome["failure"]["hint"]
    assert not project.exists("_build")
