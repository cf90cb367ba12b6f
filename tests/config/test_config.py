"""jcache.toml: what it may say, and what is said about what it may not."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbbuild.config import load as config
from nbbuild.config.find import find
from nbbuild.config.keys import readers
from nbbuild.config.placeholders import expand
from nbbuild.config.remotes import heads, may_push, remote_url
from nbbuild.config.types import (
    DEFAULTS,
    CacheTable,
    Config,
    EnvironmentTable,
    ExecutionTable,
    NotebookEntry,
    ProjectTable,
    ReportTable,
)
from nbbuild.errors import ConfigError, Problems
from nbbuild.model import Settings
from nbbuild.store.remote.signing import PublicKey

Load = Callable[[str], Config]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    root.mkdir()
    return root


@pytest.fixture
def load(root: Path) -> Load:
    def load(text: str) -> Config:
        path = root / "jcache.toml"
        path.write_text(text, encoding="utf-8")
        return config.load(path)

    return load


@pytest.fixture
def complain(load: Load) -> Callable[[str], str]:
    def complain(text: str) -> str:
        with pytest.raises((ConfigError, Problems)) as caught:
            load(text)
        assert caught.value.exit_status == 2
        return str(caught.value)

    return complain


Complain = Callable[[str], str]


# -- what it may say ----------------------------------------------------------------------------


def test_an_empty_file_has_the_defaults(load: Load, root: Path) -> None:
    assert load("") == Config(root=root, path=root / "jcache.toml")
    assert (
        Settings(
            kernel="",
            timeout=600,
            notebook_timeout=0,
            allow_errors=False,
            retries=0,
            sandbox=False,
            cwd="notebook",
            trace=True,
            warm="auto",
            cores=0,
        )
        == DEFAULTS
    )


def test_every_table_becomes_a_type(load: Load, root: Path) -> None:
    loaded = load("""
        [project]
        notebooks = ["./chapters//*.ipynb"]
        exclude = ["**/draft-*"]
        output = "out/"
        python_path = ["src", "."]
        [execution]
        executor = "dask"
        jobs = 3
        kernel_aliases = { a = "b" }
        keep_going = false
        timeout = 1.5
        trace = "syscalls"
        warm = ["numpy"]
        cores = 2
        resources = { gpu = 2, memory = "8GB" }
        [environment]
        packages = ["numpy"]
        env = ["SEED"]
        files = ["lock"]
        commands = ["R --version"]
        [cache]
        path = "../store"
        max_size = "2GiB"
        remote = "s3://x"
        unsigned = true
        [report]
        junit = "j.xml"
        html = "r.html"
        [[notebook]]
        path = "a.ipynb"
        name = "a-uk"
        assets = ["../data/*.csv", "b/"]
        modules = ["mylib.model", "./scripts/tools.py"]
        packages = ["scipy"]
        env = ["SIZE"]
        artefacts = ["out/{country}.csv"]
        depends_on = ["setup.ipynb"]
        parameters = { country = "UK", when = 2024-01-01 }
        groups = ["slow"]
        max_age = "1d"
        cache = false
        kernel = ""
        retries = 2
        cwd = "project"
        cores = 4
        resources = { gpu = 1, memory = "2GB" }
        [[notebook]]
        path = "b*.ipynb"
        matrix = { n = [1, 2] }
    """)
    assert loaded == Config(
        root=root,
        path=root / "jcache.toml",
        project=ProjectTable(
            notebooks=("chapters/*.ipynb",),
            exclude=("**/draft-*",),
            output="out",
            python_path=("src", "."),
        ),
        execution=ExecutionTable(
            executor="dask",
            jobs=3,
            kernel_aliases={"a": "b"},
            keep_going=False,
            resources={"gpu": 2, "memory": 8_000_000_000},
            settings=Settings(timeout=1.5, trace=True, warm=("numpy",), cores=2),
        ),
        environment=EnvironmentTable(
            packages=("numpy",), env=("SEED",), files=("lock",), commands=("R --version",)
        ),
        cache=CacheTable(path="../store", max_size=2 * 1024**3, remote="s3://x", unsigned=True),
        report=ReportTable(junit="j.xml", html="r.html"),
        notebooks=(
            NotebookEntry(
                where="[[notebook]] 1",
                path="a.ipynb",
                name="a-uk",
                assets=("../data/*.csv", "b/"),
                modules=("mylib.model", "scripts/tools.py"),
                packages=("scipy",),
                env=("SIZE",),
                artefacts=("out/{country}.csv",),
                depends_on=("setup.ipynb",),
                parameters={"country": "UK", "when": datetime.date(2024, 1, 1)},
                groups=("slow",),
                max_age=86_400.0,
                cache=False,
                resources={"gpu": 1, "memory": 2_000_000_000},
                settings=Settings(kernel="", retries=2, cwd="project", cores=4),
            ),
            NotebookEntry(where="[[notebook]] 2", path="b*.ipynb", matrix={"n": [1, 2]}),
        ),
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("12h", 43_200), ("1d", 86_400), ("2w", 1_209_600), ("1.5h", 5400)],
)
def test_ages_have_units(load: Load, text: str, seconds: float) -> None:
    assert load(f'[[notebook]]\npath = "a"\nmax_age = "{text}"').notebooks[0].max_age == seconds
    assert load(f'[[notebook]]\npath = "a"\nmax_age = {seconds}').notebooks[0].max_age == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [('"5GB"', 5 * 10**9), ('"500 mb"', 5 * 10**8), ('"1KiB"', 1024), ('"1.5kB"', 1500), ("9", 9)],
)
def test_sizes_have_units(load: Load, text: str, size: int) -> None:
    assert load(f"[cache]\nmax_size = {text}").cache.max_size == size


def test_paths_that_climb_out_and_back_are_the_plain_ones(load: Load, root: Path) -> None:
    loaded = load(f"""
        [[notebook]]
        path = "a.ipynb"
        assets = ["../project/a.csv", "../other/b", "{root}/c*.csv", "{root.parent}/d/", "{root}"]
    """)
    assert loaded.notebooks[0].assets == ("a.csv", "../other/b", "c*.csv", "../d/", ".")


def test_readers_come_in_their_order_and_a_suffix_means_all_files_with_it(
    load: Load, root: Path, complain: Complain
) -> None:
    text = (
        'readers = { ".md" = "a", "./talks/x.md" = "b", "**/*.md" = "c", ".hidden/*" = "d", '
        f"\"{root}/y\" = 'e' }}\n"
    )
    assert list(load(f"[project]\n{text}").project.readers.items()) == [
        ("talks/x.md", "b"),
        ("**/*.md", "c"),
        (".hidden/*", "d"),
        ("y", "e"),
    ]
    assert complain('[project]\nreaders = { ".md" = 1, "a\\\\b" = "c" }\n') == (
        "'readers.\".md\"' must be a string, not the number 1\n"
        "  in: jcache.toml, [project]\n\n"
        'hint: write readers.".md" = "1"\n\n'
        'error: "a\\\\b" in \'readers."a\\\\b"\' has a backslash\n'
        "  in: jcache.toml, [project]\n\n"
        'hint: write "a/b"'
    )
    assert complain('[project]\nreaders = ["a"]\n').startswith(
        "'readers' must be a table, not a list\n"
    )


def test_the_store_is_relative_to_the_root(load: Load, root: Path) -> None:
    assert load("").store == root / ".nbbuild/store"
    assert load('[cache]\npath = "/far/store"').store == Path("/far/store")
    assert load('[cache]\npath = "~/store"').store == Path.home() / "store"


def test_a_linked_folder_is_resolved_once(root: Path, tmp_path: Path) -> None:
    (root / "jcache.toml").write_text("")
    (tmp_path / "link").symlink_to(root)
    assert config.load(tmp_path / "link/jcache.toml").root == root


def test_a_byte_order_mark_does_no_harm(root: Path) -> None:
    (root / "jcache.toml").write_bytes(b'\xef\xbb\xbf[project]\noutput = "x"')
    assert config.load(root / "jcache.toml").project.output == "x"


# -- what is wrong ------------------------------------------------------------------------------


def test_an_unknown_key_is_named_with_its_place_and_the_nearest_one(complain: Complain) -> None:
    assert complain('[[notebook]]\npath = "x"\n[[notebook]]\npath = "a.ipynb"\nasets = []') == (
        "unknown key 'asets'\n"
        '  in: jcache.toml, [[notebook]] 2 (path = "a.ipynb")\n'
        "\n"
        "hint: did you mean 'assets'?"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[project]\ntimeout = 3",
            "unknown key 'timeout'\n  in: jcache.toml, [project]\n\n"
            "hint: 'timeout' belongs to [execution] or [[notebook]]",
        ),
        (
            "[cache]\nzzz = 3",
            "unknown key 'zzz'\n  in: jcache.toml, [cache]\n\n"
            "hint: the keys here are path, max_size, remote, mode, heads, public_keys, unsigned, "
            "push_wait",
        ),
        (
            "notebooks = []",
            "unknown key 'notebooks' outside all tables\n  in: jcache.toml\n\n"
            "hint: 'notebooks' belongs to [project]",
        ),
        (
            "[executoin]",
            "unknown table [executoin]\n  in: jcache.toml\n\nhint: did you mean [execution]?",
        ),
        (
            "[[notebooks]]",
            "unknown table [notebooks]\n  in: jcache.toml\n\nhint: did you mean [[notebook]]?",
        ),
        (
            "[parameters]",
            "unknown table [parameters]\n  in: jcache.toml\n\n"
            "hint: 'parameters' belongs to [[notebook]]",
        ),
        (
            "[zzz]",
            "unknown table [zzz]\n  in: jcache.toml\n\nhint: the tables are [project], "
            "[execution], [environment], [cache], [report], [export], "
            "[verify], [dask], [command], [executor], [[notebook]]",
        ),
        (
            "[notebook]\npath = 'a'",
            "'notebook' must be a list of tables, not a table\n  in: jcache.toml\n\n"
            "hint: write [[notebook]], with two brackets, above each entry",
        ),
        (
            "[[project]]",
            "'project' must be a table, not a list\n  in: jcache.toml\n\n"
            "hint: write [project], with single brackets, once",
        ),
        (
            "[[notebook]]\ncache = true",
            "there is no 'path'\n  in: jcache.toml, [[notebook]] 1\n\n"
            'hint: write path = "chapters/a.ipynb"',
        ),
    ],
)
def test_tables_and_keys_that_do_not_exist(complain: Complain, text: str, message: str) -> None:
    assert complain(text) == message


@pytest.mark.parametrize(
    ("table", "line", "what", "hint"),
    [
        (
            "project",
            'notebooks = "a"',
            "'notebooks' must be a list, not the string \"a\"",
            'write notebooks = ["a"]',
        ),
        (
            "project",
            'notebooks = ["a", 3]',
            "'notebooks[2]' must be a string, not the number 3",
            'write "3"',
        ),
        ("project", 'notebooks = [""]', "'notebooks[1]' is empty", None),
        (
            "project",
            'notebooks = ["a\\\\b"]',
            "\"a\\\\b\" in 'notebooks[1]' has a backslash",
            'write "a/b"',
        ),
        (
            "project",
            'exclude = ["a/*/../b"]',
            "pattern 'a/*/../b' climbs out of a folder that a wildcard names",
            "use '..' only at the beginning of a pattern",
        ),
        (
            "project",
            'output = "."',
            "'output' is the project's own folder",
            "choose a folder in it for 'output'",
        ),
        (
            "project",
            'output = "../x"',
            "'output' \"../x\" lies outside the root",
            "choose a folder below the one that holds jcache.toml",
        ),
        (
            "project",
            'output = "*"',
            "'output' must be one path, not the pattern \"*\"",
            "remove the wildcards",
        ),
        (
            "project",
            'output = ".nbbuild/out"',
            "'output' '.nbbuild/out' lies in nbbuild's own folder",
            "choose another folder",
        ),
        (
            "project",
            'notebooks = ["out/a/*.ipynb"]\noutput = "out"',
            "the notebooks 'out/a/*.ipynb' lie in 'out', where built notebooks go",
            "choose another folder for [project] output",
        ),
        (
            "execution",
            "jobs = 0",
            "'jobs' must be a whole number from 1, or \"auto\", not the number 0",
            "",
        ),
        (
            "execution",
            "jobs = true",
            "'jobs' must be a whole number from 1, or \"auto\", not true",
            "",
        ),
        (
            "execution",
            'jobs = "4"',
            '\'jobs\' must be a whole number from 1, or "auto", not the string "4"',
            "write jobs = 4",
        ),
        (
            "execution",
            'timeout = "10m"',
            "'timeout' must be a number of seconds from 0, not the string \"10m\"",
            "write timeout = 600",
        ),
        (
            "execution",
            "timeout = -1",
            "'timeout' must be a number of seconds from 0, not the number -1",
            "0 is no limit",
        ),
        (
            "execution",
            "timeout = nan",
            "'timeout' must be a number of seconds from 0, not the number nan",
            "",
        ),
        (
            "execution",
            "timeout = true",
            "'timeout' must be a number of seconds from 0, not true",
            "",
        ),
        (
            "execution",
            'allow_errors = "true"',
            "'allow_errors' must be true or false, not the string \"true\"",
            "write allow_errors = true",
        ),
        ("execution", "sandbox = 1", "'sandbox' must be true or false, not the number 1", ""),
        (
            "execution",
            "retries = 1.0",
            "'retries' must be a whole number from 0, not the number 1.0",
            "",
        ),
        (
            "execution",
            "executor = ' '",
            "'executor' is empty",
            "give it a value, or remove 'executor'",
        ),
        (
            "execution",
            "kernel = 3",
            "'kernel' must be a string, not the number 3",
            'write kernel = "3"',
        ),
        (
            "execution",
            "kernel_aliases = { a = '' }",
            "'kernel_aliases.a' is empty",
            "give it a value, or remove 'kernel_aliases.a'",
        ),
        (
            "execution",
            'cwd = "projekt"',
            '\'cwd\' must be "notebook" or "project", not the string "projekt"',
            "did you mean 'project'?",
        ),
        (
            "execution",
            'trace = "pyton"',
            '\'trace\' must be true, false or "python", not the string "pyton"',
            "did you mean 'python'?",
        ),
        (
            "execution",
            "warm = true",
            '\'warm\' must be "kernel", "auto", false or a list of modules, not true',
            'write warm = "auto", the default',
        ),
        (
            "execution",
            'warm = "numpy"',
            '\'warm\' must be "kernel", "auto", false or a list of modules, not the string "numpy"',
            'write warm = ["numpy"]',
        ),
        (
            "environment",
            'env = ["A=1"]',
            '"A=1" is not the name of an environment variable',
            "name the variable only: its value is looked up when a notebook is built",
        ),
        (
            "cache",
            'max_size = "5"',
            '\'max_size\' must be a size such as "500MB", "5GB" or "2GiB", not the string "5"',
            "",
        ),
        (
            "cache",
            'path = ".."',
            "'path' \"..\" would put the store around the project",
            "give the store a folder of its own",
        ),
        (
            "cache",
            'path = "~nobody-at-all/store"',
            "'path' \"~nobody-at-all/store\" names an unknown home folder",
            "write the path in full",
        ),
        ("cache", 'remote = "a\\u0000"', "'remote' holds a NUL character", ""),
        (
            "cache",
            'path = ""',
            "'path' is empty",
            "give it a value, or remove 'path'",
        ),
        (
            "report",
            "junit = 1979-05-27",
            "'junit' must be a string, not the date or time 1979-05-27",
            "",
        ),
    ],
)
def test_values_of_a_table(
    complain: Complain, table: str, line: str, what: str, hint: str | None
) -> None:
    message = complain(f"[{table}]\n{line}")
    expected = f"{what}\n  in: jcache.toml, [{table}]" + (f"\n\nhint: {hint}" if hint else "")
    assert message.startswith(expected) if hint is None else message == expected


@pytest.mark.parametrize(
    ("line", "what", "hint"),
    [
        (
            'name = "a/b"',
            "'name' \"a/b\" is not a valid file name",
            "use letters, digits and . + , - _, and begin with a letter or digit",
        ),
        (
            'scratch = ["/a"]',
            'scratch "/a" is absolute',
            "scratch lies below the folder of jcache.toml; write its paths relative to it",
        ),
        (
            'scratch = ["../*.tmp"]',
            'scratch "../*.tmp" lies outside the root',
            "scratch lies below the folder of jcache.toml; write its paths relative to it",
        ),
        (
            'scratch = ["."]',
            'scratch "." is the whole project',
            "name a file, a folder or a pattern",
        ),
        (
            'artefacts = ["/a"]',
            'artefact "/a" is absolute',
            "artefacts lie below the folder of jcache.toml; write their paths relative to it",
        ),
        (
            'artefacts = ["a/../../x"]',
            'artefact "a/../../x" lies outside the root',
            "artefacts lie below the folder of jcache.toml; write their paths relative to it",
        ),
        (
            'artefacts = ["a/.."]',
            'artefact "a/.." is the whole project',
            "name a file, a folder or a pattern",
        ),
        (
            'artefacts = [".nbbuild/x"]',
            'artefact ".nbbuild/x" lies in nbbuild\'s own folder',
            "write to another folder",
        ),
        (
            'artefacts = ["{a/b"]',
            "'{a/b' has a brace that belongs to no {parameter}",
            "write {{ and }} for plain braces",
        ),
        (
            'assets = ["~/data"]',
            "\"~/data\" in 'assets[1]' begins with ~, which is not expanded",
            "write the path in full, or relative to the folder of jcache.toml",
        ),
        (
            'modules = ["my-lib"]',
            'module "my-lib" cannot be imported under that name',
            "write it as in `import`, or as the path of a .py file",
        ),
        (
            'modules = ["lib/tools"]',
            'module "lib/tools" is neither a dotted name nor a .py file',
            "write 'package.module', or the path of a .py file",
        ),
        (
            'parameters = { "a b" = 1 }',
            "\"a b\" in 'parameters' cannot be the name of a variable",
            "use letters, digits and _, and begin with a letter",
        ),
        (
            "parameters = 3",
            "'parameters' must be a table, not the number 3",
            "write parameters = { name = value }",
        ),
        ("matrix = {}", "'matrix' is empty", "remove 'matrix', or give it values"),
        (
            "matrix = { a = [] }",
            "'matrix.a' is empty, which leaves no task",
            "give 'a' values, or remove it",
        ),
        (
            'matrix = { a = "UK" }',
            "'matrix.a' must be a list of values, not the string \"UK\"",
            'write a = ["UK"], or use `parameters` for one value',
        ),
        (
            f"matrix = {{ {', '.join(f'{name} = {[*range(20)]}' for name in 'abcdefgh')} }}",
            "'matrix' makes 25,600,000,000 tasks of one notebook, more than 10,000",
            "every combination of values is one task; take out values, or loop in a cell",
        ),
        (
            "matrix = { a = [1, 2, 1] }",
            "'matrix.a' holds the number 1 twice",
            "every value is one task",
        ),
        (
            'max_age = "1 day"',
            '\'max_age\' must be a time such as "30s", "10m", "12h", "1d" or "2w", '
            'not the string "1 day"',
            "",
        ),
        (
            "max_age = 0",
            "'max_age' must be longer than zero, not the number 0",
            "to run it every time, write cache = false",
        ),
    ],
)
def test_values_of_an_entry(complain: Complain, line: str, what: str, hint: str) -> None:
    place = '  in: jcache.toml, [[notebook]] 1 (path = "a.ipynb")'
    expected = f"{what}\n{place}" + (f"\n\nhint: {hint}" if hint else "")
    assert complain(f'[[notebook]]\npath = "a.ipynb"\n{line}') == expected


def test_a_name_needs_one_notebook(complain: Complain) -> None:
    assert complain('[[notebook]]\npath = "*.ipynb"\nname = "x"') == (
        "'name' \"x\" needs the path of one notebook\n"
        '  in: jcache.toml, [[notebook]] 1 (path = "*.ipynb")\n'
        "\n"
        "hint: write its path without wildcards, or use `matrix` instead of `name`"
    )


def test_the_store_and_the_output_lie_apart(complain: Complain) -> None:
    for store, output in (("out/store", "out"), ("x", "x/out"), ("x", "x")):
        assert complain(f'[cache]\npath = "{store}"\n[project]\noutput = "{output}"') == (
            f"[cache] path '{store}' and [project] output '{output}' overlap\n"
            "  in: jcache.toml\n"
            "\n"
            "hint: give each a folder of its own"
        )


def test_all_that_is_wrong_is_told_at_once(load: Load) -> None:
    with pytest.raises(Problems) as caught:
        load(
            '[project]\noutputt = "x"\nnotebooks = [1, "", "ok"]\n[[notebook]]\npath = 3\nname = 4'
        )
    assert [error.what for error in caught.value.errors] == [
        "unknown key 'outputt'",
        "'notebooks[1]' must be a string, not the number 1",
        "'notebooks[2]' is empty",
        "'path' must be a string, not the number 3",
        "'name' must be a string, not the number 4",
    ]


def test_what_is_not_toml_is_shown_with_its_line(complain: Complain) -> None:
    assert complain('[project]\nnotebooks ["a"]\noutput = "x"\n') == (
        "'jcache.toml' is not TOML: expected '=' after a key in a key/value pair\n"
        "  at: jcache.toml, line 2, column 11\n"
        '  line: notebooks ["a"]\n'
        "\n"
        "hint: quote strings, put lists in brackets, and give every key and table once"
    )
    assert "  at: jcache.toml, line 2, column 6\n  line: x = [" in complain("a = 1\nx = [")


def test_what_cannot_be_read_at_all(complain: Complain, root: Path) -> None:
    assert complain("a = " + "9" * 5000) == (
        "'jcache.toml' holds an integer that is too long to be read"
    )
    assert complain(f"[[notebook]]\npath = 'a'\nparameters.x = [0x{'f' * 5000}]") == (
        "'jcache.toml' holds an integer that is too long to be read"
    )
    (root / "jcache.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError) as caught:
        config.load(root / "jcache.toml")
    assert str(caught.value) == (
        "'jcache.toml' is not UTF-8\n  at: jcache.toml, byte 5\n\nhint: save it as UTF-8 text"
    )
    with pytest.raises(ConfigError) as caught:
        config.load(root)
    assert str(caught.value) == f"'{root}' cannot be read\n  because: Is a directory"


# -- where it is --------------------------------------------------------------------------------


def test_the_file_is_looked_for_in_the_folder_and_above(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a/b/c").mkdir(parents=True)
    monkeypatch.chdir(root / "a/b")
    with pytest.raises(ConfigError) as caught:
        find(Path())
    assert str(caught.value) == (
        f"there is no 'jcache.toml' in '{root}/a/b' or in a folder above it\n\n"
        "hint: `nbbuild init` writes one"
    )
    (root / "jcache.toml").write_text("")
    (root / "a/jcache.toml").mkdir()
    assert find(root) == root / "jcache.toml"
    assert find(Path()) == root / "jcache.toml"
    assert find(Path("c")) == root / "jcache.toml"
    (root / "a/b/jcache.toml").write_text("")
    assert find(Path("c")) == root / "a/b/jcache.toml"
    assert find(Path()) == Path("jcache.toml")
    (root / "a/b/c/jcache.toml").mkdir()
    with pytest.raises(ConfigError) as caught:
        find(Path("c"))
    assert str(caught.value) == (
        f"there is no 'jcache.toml' in '{root}/a/b/c'\n\nhint: it has to be a file"
    )
    with pytest.raises(ConfigError) as caught:
        find(Path("nowhere"))
    assert str(caught.value) == f"there is no folder '{root}/a/b/nowhere'"


def test_a_file_that_was_named_is_not_looked_for_above(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").mkdir()
    monkeypatch.chdir(root / "a")
    with pytest.raises(ConfigError) as caught:
        find(Path(), "other.toml")
    assert str(caught.value) == (
        f"there is no 'other.toml' in '{root}/a'\n\nhint: `nbbuild init` writes one"
    )
    (root / "other.toml").write_text("")
    with pytest.raises(ConfigError) as caught:
        find(Path(), "other.toml")
    assert str(caught.value) == (
        f"there is no 'other.toml' in '{root}/a'\n\n"
        f"hint: there is one in '{root}': use `-f ../other.toml`"
    )
    assert find(Path(), "../other.toml") == Path("../other.toml")
    assert find(Path(), root / "other.toml") == root / "other.toml"


# -- what comes from elsewhere ------------------------------------------------------------------


def test_the_environment_comes_before_the_file(load: Load, root: Path) -> None:
    plain = load('[execution]\njobs = 2\nexecutor = "local"')
    assert config.with_environment(plain, {"NBBUILD_JOBS": "", "HOME": "/"}) == plain
    changed = config.with_environment(
        plain, {"NBBUILD_JOBS": "4", "NBBUILD_EXECUTOR": "dask", "NBBUILD_CACHE": "../s"}
    )
    assert (changed.execution.jobs, changed.execution.executor) == (4, "dask")
    assert changed.store == root / "../s"
    assert config.with_environment(plain, {"NBBUILD_JOBS": "auto"}).execution.jobs == "auto"


def test_the_environment_is_checked_too(load: Load) -> None:
    with pytest.raises(Problems) as caught:
        config.with_environment(load(""), {"NBBUILD_JOBS": "many", "NBBUILD_CACHE": "."})
    assert str(caught.value) == (
        "'NBBUILD_CACHE' \".\" would put the store around the project\n"
        "  in: the environment\n"
        "\n"
        "hint: give the store a folder of its own\n"
        "\n"
        "error: 'NBBUILD_JOBS' must be a whole number from 1, or \"auto\", "
        'not the string "many"\n'
        "  in: the environment"
    )


KEY = "ed25519:i5_oj6F0L5Q4YJ37fZh7E3zbv3WRJaRiG7F4W-8HoL0"


def test_a_remote_cache_is_read(load: Load) -> None:
    loaded = load(f"""
        [cache]
        remote = "s3://bucket/folder"
        mode = "readwrite"
        heads = ["{{branch}}", "stable"]
        public_keys = ["{KEY}", {{ key = "{KEY}", heads = ["pr/*"] }}]
        push_wait = "1m"
        [[notebook]]
        path = "a"
        push = false
    """)
    assert loaded.cache.remote == "s3://bucket/folder"
    assert loaded.cache.mode == "readwrite"
    assert loaded.cache.heads == ("{branch}", "stable")
    assert loaded.cache.public_keys == (PublicKey(KEY), PublicKey(KEY, ("pr/*",)))
    assert loaded.cache.push_wait == 60
    assert loaded.notebooks[0].push is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'remote = "s3://x"',
            "[cache] remote is set, but neither public_keys nor unsigned\n"
            "  in: jcache.toml\n"
            "\n"
            "hint: make keys with `nbbuild cache keygen` and name the public one in [cache] "
            "public_keys; or set unsigned = true, if you trust all who can write there",
        ),
        (
            'remote = "bucket/folder"\nunsigned = true',
            "'remote' \"bucket/folder\" is not a URL\n"
            "  in: jcache.toml, [cache]\n"
            "\n"
            'hint: such as "s3://bucket/folder", "https://cache.example.org" or '
            '"file:///mnt/cache"',
        ),
        (
            'public_keys = ["ed25519-secret:i5_oj6F0L5Q4YJ37fZh7E3zbv3WRJaRiG7F4W-8HoL0"]',
            "a secret key stands where a public one belongs\n"
            "  in: jcache.toml, [cache]\n"
            "\n"
            "hint: remove it, make new keys with `nbbuild cache keygen`, and write the public one "
            "here: whoever has read this file can sign with the secret one",
        ),
        (
            'public_keys = ["ed25519:short"]',
            "'ed25519:short' is no public key\n"
            "  in: jcache.toml, [cache]\n"
            "  because: it is not 32 bytes in base64url\n"
            "\n"
            "hint: `nbbuild cache keygen` makes a pair",
        ),
        (
            "public_keys = [3]",
            "'public_keys[1]' must be a key, or a table with a key and its heads, "
            "not the number 3\n"
            "  in: jcache.toml, [cache]\n"
            "\n"
            'hint: write "ed25519:…", or { key = "ed25519:…", heads = ["pr/*"] }',
        ),
        (
            'heads = ["a\\u0007"]',
            "'heads[1]' \"a\\u0007\" cannot be the name of a head\n"
            "  in: jcache.toml, [cache]\n"
            "\n"
            "hint: at most 200 printable characters",
        ),
    ],
)
def test_what_is_wrong_with_a_remote_cache_is_said(load: Load, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"[cache]\n{text}")
    assert str(caught.value) == message


def test_the_heads_of_a_build_are_those_of_its_branch(load: Load, root: Path) -> None:
    loaded = load("")
    assert heads(loaded, {}) == ("main",)
    assert heads(loaded, {"GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "next"}) == ("next", "main")
    assert heads(loaded, {"GITHUB_HEAD_REF": "fix", "GITHUB_REF_NAME": "7/merge"}) == (
        "fix",
        "main",
    )
    assert heads(loaded, {"NBBUILD_BRANCH": "main", "CI_COMMIT_REF_NAME": "x"}) == ("main",)
    (root / ".git").mkdir()
    (root / ".git/HEAD").write_text("ref: refs/heads/topic/one\n")
    assert heads(loaded, {}) == ("topic/one", "main")
    (root / ".git/HEAD").write_text("0123456789abcdef\n")
    assert heads(loaded, {}) == ("main",)


def test_a_worktree_has_a_branch_of_its_own(load: Load, root: Path) -> None:
    loaded = load("")
    (root / "git").mkdir()
    (root / "git/HEAD").write_text("ref: refs/heads/topic\n")
    (root / ".git").write_text("gitdir: git\n")
    assert heads(loaded, {}) == ("topic", "main")


def test_results_are_pushed_where_ci_and_a_key_are(load: Load) -> None:
    signed = load(f'[cache]\nremote = "s3://x"\npublic_keys = ["{KEY}"]')
    ci, secret = {"CI": "true"}, {"NBBUILD_SIGNING_KEY": "x"}
    assert [may_push(signed, one) for one in ({}, ci, secret, {**ci, **secret})] == [
        False,
        False,
        False,
        True,
    ]
    assert not may_push(signed, {"CI": "false", **secret})
    unsigned = load('[cache]\nremote = "s3://x"\nunsigned = true')
    login = {**ci, "AWS_ACCESS_KEY_ID": "x"}
    assert [may_push(unsigned, one) for one in ({}, ci, login)] == [False, False, True]
    folder = load('[cache]\nremote = "file:///x"\nunsigned = true')
    assert [may_push(folder, one) for one in ({}, ci)] == [False, True]
    always = load('[cache]\nremote = "s3://x"\nunsigned = true\nmode = "readwrite"')
    never = load('[cache]\nremote = "s3://x"\nunsigned = true\nmode = "read"')
    assert (may_push(always, {}), may_push(never, {**ci, **secret})) == (True, False)


def test_the_environment_may_name_another_remote_or_none(load: Load) -> None:
    loaded = load('[cache]\nremote = "s3://x"\nunsigned = true')
    assert remote_url(loaded, {}) == "s3://x"
    assert remote_url(loaded, {"NBBUILD_REMOTE": "off"}) == ""
    assert remote_url(loaded, {"NBBUILD_REMOTE": "file:///x"}) == "file:///x"


# -- placeholders -------------------------------------------------------------------------------


def test_placeholders_are_replaced() -> None:
    values = {"country": "UK", "stem": "model", "odd": "a*b"}
    assert expand("data/{country}/{stem}-*.csv", values, "x") == "data/UK/model-*.csv"
    assert expand("{{{country}}}{{}}", values, "x") == "{UK}{}"
    assert expand("{odd}.csv", values, "x") == "a[*]b.csv"


def test_an_unknown_placeholder_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        expand("{contry}.csv", {"country": "UK", "stem": "a"}, "jcache.toml, [[notebook]] 1")
    assert str(caught.value) == (
        "'{contry}' in '{contry}.csv' is not a parameter\n"
        "  in: jcache.toml, [[notebook]] 1\n"
        "  known: country, stem\n"
        "\n"
        "hint: did you mean 'country'?"
    )


@pytest.mark.parametrize("text", ["{", "}", "a{}b", "{{}", "{a{b}"])
def test_a_brace_without_its_other_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expand(text, {"b": "x"}, "here")
    assert str(caught.value) == (
        f"'{text}' has a brace that belongs to no {{parameter}}\n"
        "  in: here\n"
        "\n"
        "hint: write {{ and }} for plain braces"
    )


# -- anything at all ----------------------------------------------------------------------------

scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.text("./*[]{}~a\\ !-..", max_size=8),
    st.sampled_from(
        ["auto", "kernel", "1d", "5GB", "10m", "project", "syscalls", "a.py", "/", "~x"]
    ),
    st.dates(),
    st.times(),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = readers(Path("/"))


def tables(name: str) -> st.SearchStrategy[dict[str, Any]]:
    keys = st.sampled_from([*KEYS[name], "zzz"])
    return st.dictionaries(keys, anything, max_size=5)


documents = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.one_of(tables(name), anything) for name in KEYS if name != "notebook"},
        "notebook": st.one_of(st.lists(tables("notebook"), max_size=3), anything),
        "other": anything,
    },
)


@settings(deadline=None, max_examples=300)
@given(documents)
def test_any_toml_is_a_config_or_a_clear_error(data: dict[str, Any]) -> None:
    try:
        loaded = config.read(data, Path("/nowhere/project/jcache.toml"))
    except (ConfigError, Problems) as error:
        assert str(error)
    else:
        assert loaded.root == Path("/nowhere/project")


@settings(deadline=None, max_examples=100)
@given(st.text("[]={}\"'#\n .,ab1-", max_size=40))
def test_any_text_is_a_config_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "jcache.toml"
    path.write_text(text)
    try:
        config.load(path)
    except (ConfigError, Problems) as error:
        assert str(error)


# -- reports -----------------------------------------------------------------------------------


def test_reports_go_to_files_that_look_like_what_they_are(
    load: Load, complain: Callable[[str], str]
) -> None:
    report = load('[report]\njunit = "../out/tests.xml"\ntrace = "out/./trace.json"').report
    assert report.wanted == {"junit": "../out/tests.xml", "trace": "out/trace.json"}
    assert complain('[report]\nhtml = "report"\nmarkdown = ".nbbuild/s.md"\ntrace = true') == (
        "'html' must be the path of a .html file, not \"report\"\n"
        "  in: jcache.toml, [report]\n\n"
        'hint: write html = "report.html", for example\n\n'
        "error: 'markdown' \".nbbuild/s.md\" lies in nbbuild's own folder\n"
        "  in: jcache.toml, [report]\n\n"
        "hint: choose another folder\n\n"
        "error: 'trace' must be a string, not true\n"
        "  in: jcache.toml, [report]"
    )
