"""Files may be called anything: all are built, and nothing odd reaches a terminal or a shell."""

import os

import pytest
from forked_kernels import forking
from hostile_names import names, raw
from notebook_sources import ipynb

VERBS = (
    ("status", "-v"),
    ("explain", "-v", "."),
    ("list",),
    ("graph",),
    ("graph", "--format", "mermaid"),
    ("graph", "--format", "dot"),
    ("report",),
    ("report", "--html", "-"),
    ("report", "--junit", "-"),
    ("report", "--trace", "-"),
    ("cache", "list"),
    ("cache", "verify"),
    ("status", "--json"),
    ("explain", "--json", "."),
    ("list", "--json"),
    ("report", "--json"),
)

MAKES = """
import os, pathlib
os.makedirs("made", exist_ok=True)
for name in os.listdir(b"given"):
    with open(os.path.join(b"made", name), "wb") as file:
        _ = file.write(open(os.path.join(b"given", name), "rb").read())
"""


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(70, id="small"),
        pytest.param(500, id="full", marks=pytest.mark.stress),
    ],
)
def test_files_may_be_called_anything(number, project, monkeypatch):
    called = names(number)
    project.config(
        '[[notebook]]\npath = "maker.ipynb"\nassets = ["given/*"]\nartefacts = ["made/*"]\n'
    )
    project.write("maker.ipynb", ipynb([MAKES]))
    for at, name in enumerate(called):
        place = f"{name}.ipynb" if at % 2 else f"{name}/in.ipynb"
        project.write(place, ipynb([f"print({at})"]))
        project.write(f"given/{name}", str(at))
    project.log.touch()
    around = sorted(os.listdir(project.root.parent))
    with forking(monkeypatch):
        built = project.nbbuild("-v")
        assert built.status == 0, built.err
        assert f"{number + 1} executed" in built.err
        again = project.nbbuild("--json")
        rest = [(one["source"], one["kind"], one["reasons"]) for one in again.data["outcomes"]]
        assert [one for one in rest if one[1] != "fresh"] == []
    for at, name in enumerate(called):
        place = f"{name}.ipynb" if at % 2 else f"{name}/in.ipynb"
        assert project.shown(place) == f"{at}\n"
        assert project.read(f"made/{name}") == str(at)
    said = {("-v",): built} | {words: project.nbbuild(*words) for words in VERBS}
    assert {words: done.err for words, done in said.items() if done.status} == {}
    texts = {words: (done.out + done.err).encode() for words, done in said.items()}
    assert {words: raw(text) for words, text in texts.items() if raw(text)} == {}
    assert [words for words, text in texts.items() if b"Traceback" in text] == []
    assert b"<script>alert(1)" not in texts["report", "--html", "-"]
    # What make or a link cannot name is refused, or written, but never half.
    for words in (("export", "makefile", "rules.mk"), ("export", "mystmd", "site")):
        done = project.nbbuild(*words)
        assert done.status in (0, 2), done.err
        assert raw((done.out + done.err).encode()) == []
    assert sorted(os.listdir(project.root.parent)) == around
    assert list(project.root.rglob("pwned")) == []
