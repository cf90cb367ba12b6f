"""Two clones of a project, and a remote cache between them: what one has run, the other takes."""

import os
import shutil
import subprocess
import threading

import pytest
from remote_places import loopback, web_server

import nbbuild
from nbbuild.events import Ended, Noted
from nbbuild.store.remote import heads
from nbbuild.store.remote.folder import FolderObjects
from nbbuild.store.remote.signing import new_keys

__all__ = ["loopback", "web_server"]

SECRET, PUBLIC = new_keys()
CACHE = '[cache]\nremote = "{url}"\npublic_keys = ["{key}"]\n'
ENTRIES = """
[[notebook]]
path = "load.ipynb"
assets = ["data.csv"]
artefacts = ["clean.csv"]
[[notebook]]
path = "plot.ipynb"
assets = ["clean.csv"]
"""


@pytest.fixture
def book(project, web_server, monkeypatch):
    """A project whose builds push to a web server, as CI does."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("NBBUILD_BRANCH", "main")
    monkeypatch.setenv("NBBUILD_SIGNING_KEY", SECRET)
    project.config(CACHE.format(url=web_server.url, key=PUBLIC) + ENTRIES)
    project.write("data.csv", "1,2")
    project.notebook("load.ipynb", "open('clean.csv', 'w').write(open('data.csv').read() * 2)")
    project.notebook("plot.ipynb", "open('clean.csv').read()")
    project.notebook("alone.ipynb", "import shapes\nshapes.area(2)")
    project.write("shapes.py", "def area(r):\n    return 3 * r * r\n")
    return project


@pytest.fixture
def elsewhere(book, monkeypatch):
    """Return the same project in a fresh clone in another folder, without a secret."""

    def clone(name="elsewhere"):
        monkeypatch.delenv("NBBUILD_SIGNING_KEY", raising=False)
        monkeypatch.delenv("CI")
        root = book.root.parent / name / "deeper" / "book"
        ignored = shutil.ignore_patterns(".nbbuild", "_build", "clean.csv", "__pycache__")
        shutil.copytree(book.root, root, ignore=ignored)
        return root

    return clone


@pytest.fixture
def begun(monkeypatch):
    """The command lines of all processes that are begun."""
    found = []
    begin = subprocess.Popen.__init__

    def spy(self, words, *more, **options):
        found.append(words if isinstance(words, str) else " ".join(map(str, words)))
        begin(self, words, *more, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", spy)
    return found


def last_line(done):
    """Return the last thing that was said; on a slow machine, lines above say how far it is."""
    return done.err.splitlines()[-1]


def test_a_fresh_clone_executes_nothing(book, elsewhere, web_server, begun):
    assert book.build() == ["alone", "load", "plot"]
    root = elsewhere()
    web_server.requests.clear()
    web_server.methods.clear()
    assert any("launcher" in words for words in begun)
    begun.clear()
    done = book.nbbuild("-C", str(root), "-v")
    assert (done.status, done.ran) == (0, [])
    assert done.err.splitlines()[-1].startswith("2 refreshed, 1 restored in")
    assert (root / "clean.csv").read_text() == "1,21,2"
    for name in ("alone", "load", "plot"):
        built = f"_build/executed/{name}.ipynb"
        assert (root / built).read_bytes() == (book.root / built).read_bytes()
    assert not any("launcher" in words for words in begun)
    assert web_server.methods == {"GET": 3}  # the head, its records, the blobs
    shown = book.nbbuild("-C", str(root), "show", "plot.ipynb").out
    assert f"  result: restored from the remote cache {web_server.url}; executed " in shown
    # From now on the remote is not needed.
    web_server.cut = 1_000
    assert book.build("-C", str(root), "-B") == ["alone", "load", "plot"]


def test_what_differs_runs_and_explain_says_what(book, elsewhere):
    book.build()
    root = elsewhere()
    (root / "shapes.py").write_text("def area(r):\n    return r * r\n")
    done = book.nbbuild("-C", str(root), "explain", "--remote", "alone.ipynb")
    first, second, third, *more = done.out.splitlines()
    assert (first, second) == ("alone.ipynb will run", "  it has not been run yet") or second
    assert third.startswith("  the nearest result in the remote cache, ")
    assert more[0].startswith("    'shapes.py' changed (imported by In [2]): ")
    assert book.build("-C", str(root)) == ["alone"]
    done = book.nbbuild("-C", str(root), "explain", "--remote", "--json", "plot.ipynb")
    assert done.data[0]["remote"]["reasons"] == []


def test_a_notebook_may_keep_its_results_here(book, elsewhere):
    book.config(book.read("jcache.toml") + '[[notebook]]\npath = "alone.ipynb"\npush = false\n')
    book.build()
    root = elsewhere()
    assert book.build("-C", str(root)) == ["alone"]


def test_what_was_accepted_and_not_run_is_not_pushed(book, web_server):
    book.notebook("alone.ipynb", "import shapes")
    assert book.nbbuild("-t", "alone.ipynb").ran == []
    assert book.nbbuild("cache", "push").status == 0
    assert web_server.files == {}


def test_without_a_key_nothing_is_pushed_and_a_push_by_hand_says_why(book, web_server, monkeypatch):
    monkeypatch.delenv("NBBUILD_SIGNING_KEY")
    assert book.build() == ["alone", "load", "plot"]
    assert web_server.files == {}
    done = book.nbbuild("cache", "push")
    assert (done.status, done.err) == (
        2,
        "error: NBBUILD_SIGNING_KEY is not set, so the results cannot be signed\n\n"
        "hint: set it to the secret key of one of [cache] public_keys\n",
    )
    monkeypatch.setenv("NBBUILD_SIGNING_KEY", SECRET)
    done = book.nbbuild("cache", "push")
    assert done.status == 0
    assert last_line(done).startswith(f"pushed 3 results to {web_server.url}: ")
    done = book.nbbuild("cache", "push")
    assert last_line(done) == f"nothing to push: {web_server.url} has all of it"


def test_results_can_be_pulled_before_they_are_needed(book, elsewhere, web_server):
    book.build()
    root = elsewhere()
    pulled = book.nbbuild("-C", str(root), "cache", "pull")
    assert (pulled.status, pulled.out) == (0, "")
    assert last_line(pulled) == "fetched 3 results, none missing"
    web_server.files.clear()
    assert book.build("-C", str(root)) == []
    (root / "data.csv").write_text("3")
    pulled = book.nbbuild("-C", str(root), "cache", "pull", "load.ipynb")
    assert (pulled.status, pulled.out) == (1, "missing  load.ipynb\n")
    assert last_line(pulled) == "fetched 0 results, 1 missing"


def test_a_remote_that_is_away_is_one_note(book, elsewhere, web_server, monkeypatch):
    monkeypatch.delenv("CI")
    book.config(CACHE.format(url="http://127.0.0.1:9", key=PUBLIC) + ENTRIES)
    done = book.nbbuild()
    assert (done.status, sorted(done.ran)) == (0, ["alone", "load", "plot"])
    notes = [line for line in done.err.splitlines() if "remote" in line]
    assert len(notes) == 1
    assert notes[0].endswith("; only the local cache is used")
    assert book.build() == []


def test_a_remote_that_refuses_or_hangs_up_does_not_stop_a_build(book, web_server):
    web_server.read_only = True
    done = book.nbbuild()
    assert (done.status, sorted(done.ran)) == (0, ["alone", "load", "plot"])
    assert "note: nothing was pushed: the remote cache refuses access" in done.err
    web_server.read_only = False
    assert book.nbbuild("cache", "push").status == 0


def test_damage_in_the_remote_is_found_and_never_used(book, elsewhere, web_server):
    book.build()
    sound = dict(web_server.files)
    done = book.nbbuild("cache", "verify", "--remote")
    assert (done.status, last_line(done)) == (0, "3 records and 4 blobs read, none damaged")
    for name, data in sound.items():
        if name.startswith("cas/"):
            web_server.files[name] = data[: len(data) // 2] + b"X" + data[len(data) // 2 + 1 :]
    done = book.nbbuild("cache", "verify", "--remote")
    assert done.status == 3
    root = elsewhere()
    done = book.nbbuild("-C", str(root))
    assert (done.status, sorted(done.ran)) == (0, ["alone", "load", "plot"])
    assert [line for line in done.err.splitlines() if line.startswith("note: ")] == [
        "note: results in the remote cache cannot be used: its bytes do not match its name"
    ]


def test_old_heads_and_what_nothing_names_are_removed(book, tmp_path, monkeypatch):
    folder = tmp_path / "bucket"
    book.config(CACHE.format(url=folder.as_uri(), key=PUBLIC) + ENTRIES)
    monkeypatch.setenv("NBBUILD_BRANCH", "topic")
    book.build()
    monkeypatch.setenv("NBBUILD_BRANCH", "main")
    book.write("data.csv", "5")
    book.build()
    assert len(list((folder / "ac").iterdir())) == 2
    done = book.nbbuild("cache", "gc", "--remote")
    assert done.err.startswith("removed 0 heads and 0 packs, 0 bytes; ")
    for path in [*(folder / "ac").iterdir(), *(folder / "cas").iterdir()]:
        os.utime(path, (1, 1))
    assert book.nbbuild("cache", "gc", "--remote", "-n").out == "head  topic\n"
    done = book.nbbuild("cache", "gc", "--remote")
    assert done.out == "head  topic\n"
    assert done.err.startswith("removed 1 head and ")
    assert len(list((folder / "ac").iterdir())) == 1
    assert book.nbbuild("cache", "verify", "--remote").status == 0


def test_packs_stay_while_something_may_be_a_head_of_another_version(book, tmp_path):
    folder = tmp_path / "bucket"
    book.config(CACHE.format(url=folder.as_uri(), key=PUBLIC) + ENTRIES)
    book.build()
    stray = folder / "cas" / ("ab" * 32)
    later = folder / "ac" / ("cd" * 32)
    stray.write_bytes(b"a pack")
    later.write_bytes(b"nbbuild head 2\n...")
    os.utime(stray, (1, 1))
    done = book.nbbuild("cache", "gc", "--remote")
    assert done.err.splitlines()[0] == (
        f"note: all packs stay: 'ac/{'cd' * 32}' is no head that this version can read, and may "
        "need some of them; remove it by hand if nobody uses it"
    )
    assert stray.exists() and later.exists()
    later.unlink()
    done = book.nbbuild("cache", "gc", "--remote")
    assert done.err.startswith("removed 0 heads and 1 pack, 6 bytes; ")
    assert not stray.exists()


def test_what_is_pushed_while_old_things_are_removed_stays(book, tmp_path, monkeypatch):
    folder = tmp_path / "bucket"
    book.config(CACHE.format(url=folder.as_uri(), key=PUBLIC) + ENTRIES)
    for branch in ("topic", "fix"):
        monkeypatch.setenv("NBBUILD_BRANCH", branch)
        book.build("-B")
    monkeypatch.setenv("NBBUILD_BRANCH", "main")
    for path in [*(folder / "ac").iterdir(), *(folder / "cas").iterdir()]:
        os.utime(path, (1, 1))
    topic = folder / heads.object_name("topic")
    head = topic.read_bytes()
    listings = []
    listed = FolderObjects.list

    def pushed_to(self, prefix):
        listings.append(prefix)
        found = list(listed(self, prefix))
        if prefix == "cas/":  # somebody pushes now, to a head that would go
            topic.write_bytes(head)
        return iter(found)

    monkeypatch.setattr(FolderObjects, "list", pushed_to)
    done = book.nbbuild("cache", "gc", "--remote")
    assert done.out == "head  fix\n"
    assert "cas/" in listings
    monkeypatch.setenv("NBBUILD_BRANCH", "topic")
    done = book.nbbuild("cache", "verify", "--remote")
    assert (done.status, last_line(done)) == (0, "3 records and 4 blobs read, none damaged")


def test_a_project_without_a_remote_says_so(project):
    project.notebook("a.ipynb", "1")
    project.config("")
    for words in (("push",), ("pull",), ("gc", "--remote"), ("verify", "--remote")):
        done = project.nbbuild("cache", *words)
        assert (done.status, done.err) == (
            2,
            "error: the project has no remote cache\n  in: jcache.toml\n\n"
            'hint: set [cache] remote, as in remote = "s3://bucket/folder"\n',
        )


def test_the_keys_that_are_printed_work_as_they_are(project):
    done = project.nbbuild("cache", "keygen")
    variable, line = done.out.splitlines()
    assert variable.startswith("NBBUILD_SIGNING_KEY=ed25519-secret:")
    project.notebook("a.ipynb", "1")
    project.config(f'[cache]\nremote = "file:///nowhere"\n{line}\n')
    assert project.nbbuild("list").status == 0


def test_an_upload_that_hangs_does_not_hold_up_the_end(book, web_server):
    book.config(book.read("jcache.toml").replace("[cache]", "[cache]\npush_wait = 0.05"))
    hung = threading.Event()
    said = []

    def observer(event):
        if isinstance(event, Ended):
            web_server.wait = hung  # from now on nobody answers
        elif isinstance(event, Noted):
            said.append(event.text)

    try:
        report = nbbuild.build(observer=observer)
    finally:
        hung.set()
    assert report.exit_status == 0
    assert said == [
        "the results could not be pushed within 0.1 s; `nbbuild cache push` pushes them"
    ]
    web_server.wait = None
    assert book.nbbuild("cache", "push").status == 0
    assert book.nbbuild("cache", "verify", "--remote").status == 0


def test_no_thread_is_left_of_a_build(book):
    def left():
        found = [one for one in threading.enumerate() if one.name == "pushing"]
        for thread in found:
            thread.join(60)
        return [one for one in found if one.is_alive()]

    def breaks(event):
        if isinstance(event, Ended):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        nbbuild.build(observer=breaks)
    assert left() == []
    book.build("-B")
    assert left() == []


def test_what_nobody_foresaw_while_pushing_is_a_note(book, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr("nbbuild.store.remote.heads.encode", fails)
    done = book.nbbuild()
    assert (done.status, sorted(done.ran)) == (0, ["alone", "load", "plot"])
    assert [line for line in done.err.splitlines() if line.startswith("note: ")] == [
        "note: nothing was pushed: there is not enough memory for nbbuild itself: MemoryError "
        "(free some, raise the limits (`ulimit -v`, `ulimit -u`), or run fewer jobs (`-j`))"
    ]


def test_what_is_in_order_by_a_result_from_elsewhere_is_whole_here(book, web_server):
    book.build()
    assert book.nbbuild("cache", "clear", "--force").status == 0
    web_server.methods.clear()
    assert book.build() == []
    assert web_server.methods == {"GET": 3}  # the head, its records, the blobs
    done = book.nbbuild("cache", "verify")
    assert (done.status, done.err) == (0, "3 records and 4 blobs read, none damaged\n")


def test_what_others_would_refuse_is_not_sent(book, web_server):
    book.notebook(
        "alone.ipynb", "import glob, os", "len(glob.glob('../*/**/none', recursive=True))"
    )
    book.build("alone.ipynb")
    assert web_server.files == {}
