"""What is written for mystmd is what the real program looks for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from notebook_sources import code, ipynb, prose

from nbbuild.export.mystmd_nodes import Beyond, NoPage, lifted, nodes

MYST = Path(sysconfig.get_path("scripts")) / "myst"
NEEDS_NODE = pytest.mark.skipif(
    shutil.which("node") is None, reason="mystmd runs on node, which is not on this machine"
)
HEAD = "---\nkernelspec: {name: python3, display_name: Python 3}\n---\n"

KNOWN = {
    "plain.md": HEAD + "# A\n\n```{code-cell} ipython3\n\nx = 1   \n\ny = 2\n\n```\n",
    "options.md": HEAD + "```{code-cell}\n:tags: [hide-input, raises-exception]\n\n\n1/0\n```\n"
    "```{code-cell}\n---\ntags: [remove-cell]\n---\na = 'ü'\n```\n"
    "```{code-cell}\n:class: a\n:tags: raises-exception, hide-input\n\n:not-an-option: 1\ng\n```\n"
    "```{code-cell}\n:tags:\n  - raises-exception\ng\n```\n```{code-cell}\ntags: 1\n---\n```\n",
    "fences.md": HEAD + "~~~{code-cell} python\n:tag: skip-execution\nb\n~~~\n"
    "   ```{code-cell}\n     indented\n   c\n   ```\n````{code-cell}\n```\ninner\n```\n````\n",
    "headed.md": HEAD + "```{code-cell}\n#| tags: [raises-exception]\n#| label: foo\n\nd\n```\n",
    "blank.md": HEAD + "```{code-cell}\n```\n```{code-cell}\n1\n```\n",
    "loads.md": HEAD + "```{code-cell}\n:load: code.py\n```\n```{code-cell}\n2\n```\n",
    "shows.md": HEAD + "````md\n{eval}`x` and\n```{code-cell}\nno\n```\n````\n"
    "```{code-block} md\n{eval}`y`\n```\n```{code-cell}\n1\n```\n:::{note}\nA note.\n:::\n"
    "```{code-cell}\n'after a note'\n```\n+++\n```{code-cell}\n'after a break'\n```\n",
    "includes.md": HEAD + "```{include} harmless.txt\n```\n```{code-cell}\n'included'\n```\n",
    "variables.md": HEAD.replace("---\n", "---\nexecute: {depends_on_env: [ZED, NOPE, BAR]}\n", 1)
    + "```{code-cell}\n'env'\n```\n",
    "front.ipynb": ipynb(
        [
            prose("---\nkernelspec:\n  name: other\n  display_name: o\n---\n# T"),
            *("a\nb\n", "", "   ", "x\n\n", "#| label: z\nq", "%%bash\n#| label: y\n\nq"),
            *("#| [1\nq", "😀 \u2028 \x7f \x01\r\nx", "#|x\n#| \nq", "# | a: 1\nq"),
            *(code("sk", tags=["skip-execution"]), code("r", tags=["raises-exception"]), ""),
        ]
    ),
    "half.ipynb": ipynb(["print('\ud800')"]),
}


class Mystmd:
    """The real program, in a folder of its own, without a kernel that it could start."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "theme").mkdir(parents=True)
        (root / "theme/template.yml").write_text("jtex: v1\nmyst: v1\nkind: site\ntitle: T\n")
        (root / "no-kernel").mkdir()
        # mystmd starts `jupyter server` through the Python that it finds.
        for program in ("jupyter", "python", "python3"):
            fake = root / "no-kernel" / program
            fake.write_text("#!/bin/sh\nexit 1\n")
            fake.chmod(0o755)

    def build(self, **environ: str) -> str:
        """Build what lies there with --execute, and return what mystmd said."""
        pages = sorted({*self.root.glob("*.md"), *self.root.glob("*.ipynb")})
        toc = [{"file": page.name} for page in pages]
        config = {"version": 1, "project": {"toc": toc}, "site": {"template": "./theme"}}
        (self.root / "myst.yml").write_text(json.dumps(config))
        path = os.pathsep.join([str(self.root / "no-kernel"), os.environ["PATH"]])
        done = subprocess.run(
            [str(MYST), "build", "--site", "--execute"],
            cwd=self.root,
            env={**os.environ, "PATH": path, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout

    def content(self) -> str:
        """Return what mystmd wrote of all pages: what a theme is to show."""
        pages = sorted((self.root / "_build/site/content").glob("*.json"))
        return "\n".join(page.read_text() for page in pages)


def answered(said: str) -> tuple[set[str], set[str]]:
    """Return the pages that mystmd found a result for, and those it would execute."""
    return (
        set(re.findall(r"Adding cached notebook outputs \((.*)\)", said)),
        set(re.findall(r"Executing notebook \((.*)\) ", said)),
    )


@NEEDS_NODE
def test_the_key_is_that_of_the_real_program(tmp_path: Path) -> None:
    mystmd = Mystmd(tmp_path / "book")
    environ = {"BAR": "b", "ZED": "z ü"}
    cache = mystmd.root / "_build/execute"
    cache.mkdir(parents=True)
    (mystmd.root / "harmless.txt").write_text("Included.\n")
    for name, text in KNOWN.items():
        (mystmd.root / name).write_text(text, encoding="utf-8")
        found = nodes(mystmd.root, name)
        cells = [
            {"metadata": {"mystResultType": "code"}, "cell_type": "code", "outputs": []}
            for cell in found.cells
            if not cell.skipped
        ]
        result = {"nbformat": 4, "metadata": {}, "cells": cells}
        (cache / f"{found.key(environ)}.ipynb").write_text(json.dumps(result))
    said = mystmd.build(**environ)
    assert answered(said) == (set(KNOWN), set()), said


BEYOND = {
    "inline": ("Text {eval}`1 + 1`.\n", "it has inline expressions, {eval}`…`, which nbbuild "),
    "in-a-note": ("```{note}\n{eval}`1 + 1`\n```\n", "it has inline expressions"),
    "nested": (":::{note}\n```{code-cell}\n1\n```\n:::\n", "it has code cells inside other"),
    "nested-too": ("````{tab-item} A\n```{code-cell}\n1\n```\n````\n", "it has code cells inside"),
    "in-a-list": ("- a\n\n  ```{code-cell}\n  1\n  ```\n", "it has code cells inside other"),
    "colons": (":::{code-cell}\n1\n:::\n", "it has code cells inside other"),
    "included": ("```{include} cells.txt\n```\n", "it has code cells inside other directives, or"),
    "divided": ("+++\n```{code-cell}\n#| tags: [a]\n1\n```\n", "it has `#| tags:` in a page that"),
}


@pytest.mark.parametrize(("text", "why"), BEYOND.values(), ids=list(BEYOND))
def test_what_only_mystmd_would_execute_is_known_as_such(
    tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "cells.txt").write_text("```{code-cell}\n1\n```\n")
    (tmp_path / "a.md").write_text(f"{HEAD}{text}```{{code-cell}}\n1\n```\n")
    with pytest.raises(Beyond) as caught:
        nodes(tmp_path, "a.md")
    assert str(caught.value).startswith(why)


NO_PAGES = {
    "a.py": ("# %%\n1\n", "mystmd makes no pages of .py files"),
    "a.md": (
        "```{code-cell}\n1\n```\n",
        "it has no kernelspec, without which mystmd executes nothing",
    ),
    "b.md": (HEAD + "Prose.\n", "it has no cell that mystmd would execute"),
    "c.md": (
        HEAD.replace("---\n", "---\nexecute: {skip: true}\n", 1),
        "its header tells mystmd not to execute it",
    ),
    "d.md": (
        HEAD.replace("---\n", "---\nexecute: {cache: false}\n", 1),
        "its header tells mystmd to execute it each time",
    ),
}


@pytest.mark.parametrize("name", NO_PAGES)
def test_what_mystmd_does_not_look_for_is_no_gap(tmp_path: Path, name: str) -> None:
    text, why = NO_PAGES[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(NoPage) as caught:
        nodes(tmp_path, name)
    assert str(caught.value) == why


def test_lines_above_the_code_are_lifted_as_mystmd_does() -> None:
    assert lifted("%%time\n#| tags: [a]\n\n1\n#| b: 2") == ("%%time\n1\n#| b: 2", {"tags": ["a"]})
    assert lifted("#| [\n1") == ("#| [\n1", {})
    assert lifted("1") == ("1", {})


# -- the verb ----------------------------------------------------------------------------------


def export(project, status=0):
    done = project.nbbuild("export", "mystmd", "--json")
    assert (done.status, done.ran) == (status, []), done.err
    return done.data


def results(project):
    """Return the outputs that lie there for mystmd, by the page that they were made for."""
    found = {}
    for path in sorted((project.root / "_build/execute").iterdir()):
        result = json.loads(path.read_text())
        page = result["metadata"]["mystContext"]["path"]
        texts = [output["text"] for cell in result["cells"] for output in cell["outputs"]]
        found[page] = texts
    return found


@pytest.mark.slow
@NEEDS_NODE
def test_mystmd_finds_what_is_exported_and_nothing_out_of_date(project):
    project.config('[project]\nnotebooks = ["*.ipynb", "*.md"]')
    page = HEAD + "```{code-cell}\n:tags: [hide-input]\nprint(open('data.txt').read())\n```\n"
    project.write("a.md", page)
    project.write("inline.md", page.replace("(open", "('i', open") + "\nText {eval}`1 + 1`.\n")
    skipped = code("print('kept')", tags=["skip-execution"])
    project.write("b.ipynb", ipynb(["print('b')", skipped, "float('nan')", ""]))
    project.write("data.txt", "old")
    project.write("myst.yml", "")
    project.build()
    done = project.nbbuild("export", "mystmd")
    assert (done.status, done.err) == (
        1,
        "not exported: inline.md: it has inline expressions, {eval}`…`, which nbbuild does not "
        "evaluate; mystmd will execute this page itself\n"
        "2 notebooks in _build/execute, 2 written\n",
    )
    mystmd = Mystmd(project.root)
    said = mystmd.build()
    assert answered(said) == ({"a.md", "b.ipynb"}, {"inline.md"}), said
    assert "old\\n" in mystmd.content()

    before = project.files()
    assert export(project, status=1)["kept"] == ["a.md", "b.ipynb"]
    assert project.files() == before

    project.write("data.txt", "new")
    done = export(project, status=1)
    assert [one["source"] for one in done["missing"]] == ["a.md", "inline.md"]
    assert done["removed"] == ["a.md"]
    assert answered(mystmd.build()) == ({"b.ipynb"}, {"a.md", "inline.md"})

    # A display tag is nothing to mystmd, and a new export of the same is not written.
    project.write("a.md", page.replace("hide-input", "hide-output"))
    project.build()
    assert export(project, status=1)["written"] == ["a.md"]
    mystmd.build()
    assert "new\\n" in mystmd.content()


def test_twins_are_left_out_and_old_keys_go(project):
    project.config("")
    for folder in ("x", "y"):
        project.write(f"{folder}/data.txt", folder)
        project.notebook(f"{folder}/{folder}.ipynb", "print(open('data.txt').read())", log=False)
    project.build()
    why = "has the same code but other outputs, and mystmd tells notebooks apart by their code"
    done = export(project, status=1)
    assert [
        (one["source"], one["why"].startswith(f"'{other}' {why}"))
        for one, other in zip(done["missing"], ("y/y.ipynb", "x/x.ipynb"), strict=True)
    ] == [("x/x.ipynb", True), ("y/y.ipynb", True)]
    assert results(project) == {}

    project.notebook("y/y.ipynb", "print(open('data.txt').read())  # of y", log=False)
    project.write("_build/execute/of-mystmd.ipynb", '{"nbformat":4,"metadata":{},"cells":[]}')
    project.build()
    export(project)
    (project.root / "_build/execute/of-mystmd.ipynb").unlink()  # was left alone
    assert results(project) == {"x.ipynb": ["x\n"], "y.ipynb": ["y\n"]}

    project.notebook("y/y.ipynb", "print('third')", log=False)
    project.build()
    export(project)
    assert results(project) == {"x.ipynb": ["x\n"], "y.ipynb": ["third\n"]}


def test_a_file_in_the_place_of_the_folder_is_an_error(project):
    project.config("")
    project.notebook("a.ipynb", "1")
    project.write("_build/execute", "x")
    done = project.nbbuild("export", "mystmd")
    assert done.status == 2
    assert done.err == (
        f"error: '{project.root}/_build/execute' is not a folder\n\n"
        "hint: name the `_build/execute` of the book\n"
    )
