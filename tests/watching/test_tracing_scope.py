"""Which of what a kernel touched counts, by which name, and what it was worth."""

import os
from pathlib import Path

import msgspec
import pytest

from nbbuild.disk.digests import Digests, digest_bytes, now_ns
from nbbuild.interpreter.environment import Probe
from nbbuild.model import ArtefactFile, Task
from nbbuild.watching.literals import literals
from nbbuild.watching.observed import (
    FileUse,
    Glob,
    Host,
    ImportUse,
    Listing,
    LoadedModule,
    Observed,
    Stat,
)
from nbbuild.watching.observed import WatchedProcess as Told
from nbbuild.watching.scope import Scope
from nbbuild.watching.traces import SITE, STDLIB, Own, Traces
from nbbuild.watching.tracing import traced
from nbbuild.watching.watched import Watching

KERNEL = 10
TASK = Task(name="a", source="a.ipynb", built="_build/a.ipynb", artefacts=("out/*.txt",))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def scope(root):
    return Scope(
        root,
        folders=[str(root / ".venv"), str(root.parent / "python")],
        closed=[root / ".nbbuild/store"],
        own=Own(TASK, closed=["_build", ".nbbuild"]),
        environ={"HOME": str(root.parent / "home")},
    )


@pytest.fixture
def probe(root):
    return Probe(
        python="3.11.0",
        implementation="CPython",
        ipykernel="7",
        ipython="9",
        distributions={"front": "1", "base": "2"},
        path=(),
        owners={"front": ("front",), "base": ("base",)},
        requires={"front": ("base",)},
        stdlib=("json", "winreg"),
        folders=(str(root.parent / "python"),),
    )


@pytest.fixture
def watched(root, scope, probe):
    """Turn an account into a trace, as at the end of a run that began just now."""
    began = now_ns()

    def turn(observed=None, *, cells=(), after=None, named=lambda text: (), **told):
        processes = (Told(pid=KERNEL, parent=1, forked=False),)
        watching = Watching(
            scope=scope,
            digests=Digests(),
            cells=cells,
            cwd=root,
            began_ns=began,
            before=probe,
            after=after or probe,
            named=named,
            declared={"declared.txt"},
        )
        return traced(watching, observed or Observed(processes=processes, **told))

    return turn


def stat(path):
    found = os.stat(path)
    kind = "d" if path.is_dir() else "f"
    mode = found.st_mode & 0o7777
    return Stat(kind, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, mode)


def use(path, *uses, first="now", made=False):
    """Return that a file was used, in cell 3; `first` = None: it was not there then."""
    return FileUse(
        path=str(path),
        uses=uses or ("read",),
        first=stat(path) if first == "now" else first,
        read=not made,
        made=made,
        written=not {"write", "append", "open", "mkdir", "remove"}.isdisjoint(uses),
        cell=3,
        pid=KERNEL,
    )


def found(name, origin, *, path, importer="__main__", pid=KERNEL, kind="source"):
    return ImportUse(
        name=name,
        origin=origin and str(origin),
        kind=kind,
        locations=None,
        importer=importer,
        importer_file="",
        path=tuple(map(str, path)),
        cell=3,
        pid=pid,
    )


def loaded(name, origin, *, kind="source"):
    return LoadedModule(name=name, origin=str(origin), kind=kind, locations=None)


def write(root, path, text=""):
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def items(result):
    return [(item.kind, item.name, item.value) for item in result.trace.items]


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.txt", "a.txt"),
        ("deep/../b.txt", "b.txt"),
        (".", "."),
        ("../beside.txt", "../beside.txt"),
        ("../home/data.txt", "../home/data.txt"),
        ("../home/.cache/x", None),
        ("../python/lib/x.py", None),
        ("../python", None),
        (".venv/lib/x.py", None),
        (".nbbuild/store/v2/x", None),
        (".nbbuild/state", None),
        ("__pycache__/x.pyc", None),
        ("data/.ipynb_checkpoints/a", None),
        (".hidden", ".hidden"),
        ("/etc/hosts", None),
        ("/usr", None),
        ("/dev/null", None),
        ("../ipykernel_12/34.py", None),
    ],
)
def test_what_has_a_name_that_counts(root, scope, path, name):
    assert scope.name(os.path.join(root, path)) == name


def test_artefacts_and_the_built_notebook_do_not_count_and_others_in_output_do(root, scope):
    paths = ("out/a.txt", "out/a.csv", "_build/a.ipynb", "_build/b.ipynb")
    counted = [path for path in paths if scope.counts(str(root / path))]
    assert counted == ["out/a.csv", "_build/b.ipynb"]


def test_folders_that_hold_the_project_are_not_left_out(tmp_path):
    root = tmp_path / "home/.projects/one"
    root.mkdir(parents=True)
    own = Own(TASK, closed=[])
    scope = Scope(root, folders=[str(tmp_path)], own=own, environ={"HOME": str(tmp_path / "home")})
    assert scope.name(str(root / "a.txt")) == "a.txt"
    assert scope.name(str(root.parent / "b.txt")) == "../b.txt"


@pytest.mark.parametrize("root", ["/home/me/project", "/builds/group/sub/project", "/srv"])
def test_a_path_with_nothing_in_common_has_one_name_wherever_the_project_lies(root):
    scope = Scope(Path(root), own=Own(TASK, closed=[]), environ={"HOME": "/home/me"})
    assert scope.name("/data/big.csv") == "/data/big.csv"
    assert scope.name(f"{root}/a.csv") == "a.csv"
    if root != "/srv":
        assert scope.name(str(Path(root).parent / "a.csv")) == "../a.csv"


def test_a_root_behind_a_link_gives_the_same_names(tmp_path, root):
    (tmp_path / "link").symlink_to(root)
    scope = Scope(tmp_path / "link", own=Own(TASK, closed=[]))
    assert scope.name(str(root / "a.txt")) == "a.txt"
    assert scope.name(str(tmp_path / "link/a.txt")) == "a.txt"


# -- files -------------------------------------------------------------------------------------


def test_files_read_looked_for_and_made(root, watched):
    read = write(root, "read.txt", "content")
    write(root, "declared.txt")
    write(root, "made.txt", "by the run")
    write(root, "ended.txt", "left")
    (root / "folder").mkdir()
    (root / "ended").mkdir()
    result = watched(
        files=(
            use(read),
            use(root / "declared.txt"),
            use(root / "missing.txt", "exists", first=None),
            use(root / "folder", "exists"),
            use(root / "made.txt", "write", "read", first=None, made=True),
            use(root / "ended.txt", "exists", "write", first=None),
            use(root / "ended", "lexists", "mkdir", first=None),
            use(root / "read.txt/x", "read", first=None),
        ),
        hosts=(Host(name="example.org", port=80, cell=1, pid=KERNEL),),
    )
    assert items(result) == [
        ("absent", "ended", "d"),
        ("absent", "ended.txt", digest_bytes(b"left")),
        ("absent", "missing.txt", ""),
        ("absent", "read.txt/x", ""),
        ("file", "read.txt", digest_bytes(b"content")),
        ("stat", "folder", "d"),
    ]
    assert {item.via for item in result.trace.items} == {"In [3]"}
    assert result.changed == ()
    assert result.trace.hosts == ("example.org",)
    assert [file.path for file in result.undeclared] == ["made.txt", "ended.txt"]
    assert result.undeclared[0] == ArtefactFile("made.txt", digest_bytes(b"by the run"), 10)


def test_a_question_is_worth_what_it_could_see(root, watched):
    for name in ("there.txt", "sized.txt", "known.txt", "read.txt", "linked.txt"):
        write(root, name, "four").chmod(0o640)
    (root / "latest").symlink_to("linked.txt")
    link = os.lstat(root / "latest")
    own = Stat("l", link.st_size, link.st_mtime_ns, link.st_ctime_ns, link.st_ino, 0o777)
    result = watched(
        files=(
            use(root / "there.txt", "exists"),
            use(root / "sized.txt", "exists", "size"),
            use(root / "known.txt", "size", "stat"),
            use(root / "read.txt", "exists", "stat", "read"),
            msgspec.structs.replace(use(root / "latest", "lstat", "exists"), own=own),
        ),
    )
    assert [(one.kind, one.name, one.value, one.way) for one in result.trace.items] == [
        ("file", "read.txt", digest_bytes(b"four"), ""),
        ("stat", "known.txt", "f 4 640", "stat"),
        ("stat", "latest", "f", "exists"),
        ("stat", "latest", "l linked.txt", "stat link"),
        ("stat", "read.txt", "f 4 640", "stat"),
        ("stat", "sized.txt", "f 4", "size"),
        ("stat", "there.txt", "f", "exists"),
    ]
    assert result.changed == ()


def test_what_changed_between_first_use_and_end_is_told(root, watched):
    edited, gone = write(root, "edited.txt", "old"), write(root, "gone.txt")
    uses = (use(edited), use(gone), use(root / "new.txt", first=None))
    edited.write_text("new")
    gone.unlink()
    write(root, "new.txt")
    assert watched(files=uses).changed == (
        "'edited.txt' changed",
        "'gone.txt' disappeared",
        "'new.txt' appeared",
    )


def test_listings_and_globs_leave_out_what_the_run_made(root, scope, watched):
    for path in ("data/a.csv", "data/made.csv", "out/x.txt"):
        write(root, path)
    (root / "data/empty").mkdir()

    def listed(folder, *names):
        where = root / folder
        return Listing(path=str(where), first=stat(where), names=names, cell=3, pid=KERNEL)

    absolute = Glob(
        way="glob",
        base=str(root),
        pattern=str(root / "data/*.csv"),
        recursive=False,
        hidden=False,
        matches=(str(root / "data/a.csv"),),
        cell=3,
        pid=KERNEL,
    )
    result = watched(
        files=(
            use(root / "data/made.csv", "write", first=None, made=True),
            use(root / "data/empty", "lexists", "mkdir", first=None),
        ),
        listings=(listed("data", "fa.csv"), listed("data/empty")),
        globs=(absolute,),
    )
    assert result.changed == ()
    assert [(item.kind, item.name) for item in result.trace.items] == [
        ("absent", "data/empty"),
        ("glob", "data:*.csv"),
        ("listing", "data"),
    ]
    assert result.trace.made == ("data/empty",)
    # It holds as things are, and in a fresh copy without what the run made.
    own = Own(TASK, undeclared=[file.path for file in result.undeclared], closed=[])
    for path in ("data/made.csv", None):
        broken = Traces(root, digest=Digests().digest).broken(
            result.trace, probe=None, own=own.name
        )
        assert list(broken) == []
        if path:
            (root / path).unlink()
            (root / "data/empty").rmdir()
    write(root, "data/new.csv")
    broken = Traces(root, digest=Digests().digest).broken(result.trace, probe=None, own=own.name)
    assert [reason.kind for reason in broken] == ["glob", "listing"]


def test_files_named_in_strings_count(root, watched):
    write(root, "in-c.parquet", "1")
    write(root, "of-shell.txt", "2")
    write(root, "unnamed.txt", "3")
    os.utime(root / "in-c.parquet")
    result = watched(
        cells=("frame = read('in-c.parquet')", "!cat of-shell.txt missing.txt"), files=()
    )
    assert [(item.name, item.via) for item in result.trace.items] == [
        ("in-c.parquet", "named in a string"),
        ("of-shell.txt", "named in a string"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 'a.txt'", ["a.txt"]),
        ("!cat 'a b.txt' < c.txt", ["a b.txt", "c.txt", "cat"]),
        ("%run script.py --fast", ["--fast", "run", "script.py"]),
        ("%%bash\ncat a.txt", ["a.txt", "bash", "cat"]),
        ("broken = ('a.txt', \"b.txt\"", ["a.txt", "b.txt"]),
        ("!unclosed 'quote", ["'quote", "unclosed"]),
        ("'''two\nlines'''", []),
    ],
)
def test_words_that_could_be_files(text, words):
    assert sorted(set(literals(text)) - {""}) == words


# -- imports -----------------------------------------------------------------------------------


def test_modules_local_and_installed(root, watched):
    python = root.parent / "python"
    packages = python / "lib/site-packages"
    mine = write(root, "mine.py", "X = 1\n")
    front = write(packages, "front.py")
    json = write(python, "lib/json/__init__.py")
    path = (root, python / "lib", packages)
    result = watched(
        modules=(
            loaded("mine", mine),
            loaded("front", front),
            loaded("json", json),
            loaded("__main__", root / "nothing.py"),
            loaded("sys", "", kind="builtin"),
        ),
        base=("base",),
        imports=(found("mine", mine, path=path), found("front", front, path=path)),
        paths=(tuple(map(str, path)),),
    )
    assert result.trace.path == (".", STDLIB, SITE)
    assert items(result) == [
        ("distribution", "base", "2"),  # a bare kernel holds it, and front says that it needs it
        ("distribution", "front", "1"),
        ("file", "mine.py", digest_bytes(b"X = 1\n")),
        ("import", "mine", "mine.py"),
        ("installed", "front json", ""),
    ]
    assert result.changed == ("'mine.py' changed",)  # written after the run began


def test_what_a_bare_kernel_holds_counts_when_it_is_named(root, watched):
    assert items(watched(base=("base.part",))) == []
    named = watched(base=("base.part",), cells=("import base",), named=lambda text: ["base.part"])
    assert items(named) == [("distribution", "base", "2")]


def test_a_package_that_changed_under_the_run_is_told(root, probe, watched):
    front = write(root.parent / "python/lib/site-packages", "front.py")
    distributions = {**probe.distributions, "front": "1.1", "base": "3"}
    after = msgspec.structs.replace(probe, distributions=distributions)
    result = watched(modules=(loaded("front", front),), after=after)
    assert items(result)[0] == ("distribution", "front", "1")
    assert result.changed == ("the package 'front' changed",)


def test_missing_imports_count_but_for_a_distributions_own_and_another_systems(root, watched):
    path = (root,)
    missing = ("optional", "front.extra", "front", "winreg", "mine.part")
    mine = write(root, "mine.py")
    result = watched(
        modules=(loaded("mine", mine),),
        imports=(
            found("mine", mine, path=path),
            *(found(name, None, path=path, kind="missing") for name in missing),
        ),
        paths=(tuple(map(str, path)),),
    )
    missed = [item.name for item in result.trace.items if item.kind == "missing-import"]
    assert missed == ["mine.part", "optional"]


def test_an_import_keeps_the_path_of_its_moment_where_the_last_one_would_not_do(root, watched):
    here, there = write(root, "mine.py"), write(root, "lib/mine.py")
    at_the_end = (str(root),)
    result = watched(
        modules=(loaded("mine", there),),
        imports=(found("mine", there, path=(root / "lib", root)),),
        paths=(at_the_end,),
    )
    (item,) = [item for item in result.trace.items if item.kind == "import"]
    assert (item.value, item.way) == ("lib/mine.py", "lib\0.")
    assert [reason for reason in result.changed if "import" in reason] == []

    result = watched(
        modules=(loaded("mine", there),),
        imports=(found("mine", there, path=at_the_end),),
        paths=(at_the_end,),
    )
    assert here.exists()
    assert "the result of `import mine` changed" in result.changed


def test_what_a_child_imported_counts_too(root, watched):
    front = write(root.parent / "python/lib/site-packages", "front.py")
    mine = write(root, "mine.py")
    result = watched(
        imports=(
            found("front", front, path=(root,), pid=KERNEL + 1),
            found("mine", mine, path=(root,), pid=KERNEL + 1),
        ),
        paths=((str(root),),),
    )
    assert [(item.kind, item.name) for item in result.trace.items] == [
        ("distribution", "front"),
        ("file", "mine.py"),
        ("import", "mine"),
        ("installed", "front"),
    ]


def test_a_module_that_the_run_wrote_is_no_item(root, watched):
    mine = write(root, "mine.py")
    result = watched(
        files=(use(mine, "write", first=None, made=True),),
        modules=(loaded("mine", mine),),
        imports=(found("mine", mine, path=(root,)),),
        paths=((str(root),),),
    )
    assert items(result) == []
    assert result.changed == ()
