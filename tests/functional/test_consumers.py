"""Sphinx, Jupyter Book 1 and mystmd render the book that nbbuild executed, and execute nothing.

Each is the real program. The kernel that it would start is one that only leaves a mark. All of them
render the book once after the first build, and once more after a change that no source of a page
shows: Sphinx reads a page again only because its doctree is gone.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

import nbbuild

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = Path(sysconfig.get_path("scripts"))
PAGES = {
    *("chapters/arrivals.ipynb", "chapters/comparison.md", "chapters/further.ipynb"),
    *("chapters/mistakes.md", "chapters/one-counter.md", "chapters/several.ipynb"),
}

CONF = """
extensions = ["myst_nb"]
nb_execution_mode = "cache"
root_doc = "intro"
exclude_patterns = ["_build"]
"""

# mystmd downloads its themes. This one shows the texts and outputs of each page.
THEME = "jtex: v1\nmyst: v1\nkind: site\ntitle: Plain\nbuild:\n  render: node render.js\n"
RENDER = """
const fs = require('fs');
const shown = (node) => [
  node.type === 'output' ? JSON.stringify(node.jupyter_data) : (node.value ?? ''),
  ...(node.children ?? []).map(shown),
].join('\\n');
(async () => {
  const get = async (path) => (await fetch(`${process.env.CONTENT_CDN}/${path}`)).json();
  for (const { slug } of (await get('config.json')).projects[0].pages) {
    const page = await get(`content/${slug}.json`);
    fs.writeFileSync(`${process.env.BUILD_DIRECTORY}/${slug}.html`, shown(page.mdast));
  }
})();
"""

KERNEL = """
import pathlib, sys
pathlib.Path(sys.argv[1]).touch()
sys.exit(1)
"""


@dataclass
class Rendered:
    """What a tool said, and the pages that it wrote."""

    said: str
    pages: dict[str, str]  # name → text, without markup
    started: bool  # a kernel

    def answered(self) -> set[str]:
        """Return the pages that were found in the cache."""
        found = re.findall(
            r"(\S+): Using cached notebook|Adding cached notebook outputs \((.*)\)", self.said
        )
        return {"/".join((one or other).split("/")[-2:]) for one, other in found}


class Book:
    """A copy of the book, and the tools that render it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "book"
        made = shutil.ignore_patterns("_build", ".nbbuild", "__pycache__", "data")
        shutil.copytree(EXAMPLES / "book", self.root, ignore=made)
        self.started = folder / "started"
        kernel = folder / "jupyter/kernels/python3"
        kernel.mkdir(parents=True)
        argv = [sys.executable, "-c", KERNEL, str(self.started), "{connection_file}"]
        spec = {"argv": argv, "display_name": "None", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
        self.environ = {**os.environ, "JUPYTER_PATH": str(folder / "jupyter")}
        (folder / "conf").mkdir()
        (folder / "conf/conf.py").write_text(CONF)
        (folder / "theme").mkdir()
        (folder / "theme/template.yml").write_text(THEME)
        (folder / "theme/render.js").write_text(RENDER)
        myst = self.root / "myst.yml"
        myst.write_text(myst.read_text().replace("template: book-theme", "template: ../theme"))

    def build(self) -> list[str]:
        """Build the notebooks; return those that executed."""
        with nbbuild.open_session(self.root) as session:
            report = nbbuild.build(session, jobs=2)
        assert report.exit_status == 0, report
        return sorted(one.task for one in report.outcomes if one.kind.value == "executed")

    def sphinx(self) -> Rendered:
        words = ["sphinx-build", "-c", "../conf", "-b", "html", ".", "_build/sphinx"]
        return self._render(words, self.root / "_build/sphinx")

    def jupyter_book(self) -> Rendered:
        return self._render(["jupyter-book", "build", "."], self.root / "_build/html")

    def mystmd(self) -> Rendered | None:
        """Return what mystmd makes, None on a machine without node."""
        if shutil.which("node") is None:
            return None
        # A folder of its own: mystmd, too, writes to `_build/html`, and empties it before.
        html = self.root / "_build/html"
        aside = html.rename(html.with_name("html-of-jupyter-book"))
        done = self._render(["myst", "build", "--html", "--execute"], html)
        shutil.rmtree(html)
        aside.rename(html)
        return done

    def _render(self, words: list[str], written: Path) -> Rendered:
        done = subprocess.run(
            [str(SCRIPTS / words[0]), *words[1:]],
            cwd=self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        pages = {
            path.stem: html.unescape(re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8")))
            for path in sorted(written.rglob("*.html"))
        }
        return Rendered(done.stdout, pages, self.started.exists())


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Each tool's two renderings: of the first build, and after a change and another build."""
    book = Book(tmp_path_factory.mktemp("consumers"))
    tools = {"sphinx": book.sphinx, "jupyter-book": book.jupyter_book, "mystmd": book.mystmd}
    assert len(book.build()) == 8
    first = {name: tool() for name, tool in tools.items()}
    again = {name: tool() for name, tool in tools.items()}

    # Other people come, and an error has other words. The module is no page, and only the page
    # that shows it with `:load:` has other code than before.
    module = book.root / "lib/queueing.py"
    text = module.read_text().replace("at least one counter", "one counter or more")
    module.write_text(text.replace("Random(seed)", "Random(seed + 1)"))
    assert len(book.build()) == 8
    then = {name: tool() for name, tool in tools.items()}
    return {name: (first[name], again[name], then[name]) for name in tools}


@pytest.mark.parametrize("tool", ["sphinx", "jupyter-book", "mystmd"])
def test_the_book_is_rendered_without_a_kernel(rendered, tool):
    first, again, then = rendered[tool]
    if first is None:
        pytest.skip("mystmd runs on node, which is not on this machine")
    for one in (first, again, then):
        assert not one.started, one.said
        assert "Executing notebook" not in one.said
    assert first.answered() == PAGES
    assert "1 counters" in first.pages["comparison"]
    assert "mean wait 4.34 min, longest 13.21 min" in first.pages["one-counter"]
    assert "2 counters: mean wait 4.14 min" in first.pages["several"]
    assert "a desk needs at least one counter" in first.pages["mistakes"]
    assert "6.21 ± 3.73 min" in first.pages["further"]

    # Sphinx reads nothing twice, and after the change just the pages that show it.
    assert again.answered() == (PAGES if tool == "mystmd" else set())
    assert then.answered() == PAGES
    assert "mean wait 4.34 min" not in then.pages["one-counter"]
    assert "mean wait 4.14 min" not in then.pages["several"]
    assert "a desk needs one counter or more" in then.pages["mistakes"]
    assert "a desk needs at least one counter" not in then.pages["mistakes"]
