"""What nbbuild hides from the libraries that it imports is there again for the code of others."""

from __future__ import annotations

import subprocess
import sys

from reader_package import install

CODE = """
import sys
from nbbuild import optional_imports
optional_imports.hide()
import nbformat
print([name for name in sys.modules if name == "webcolors" and sys.modules[name] is not None])
try:
    import webcolors
except ModuleNotFoundError:
    print("not there")
from nbbuild.notebook.readers import Readers
from pathlib import Path
reader = Readers({"*.slides": "slides"}).custom("a.slides")
print(reader("a.slides", Path("a.slides"), b""))
"""
READER = "import webcolors\n\ndef read(data, path):\n    return {'colours': webcolors.__name__}\n"


def test_a_reader_may_import_what_is_hidden_from_nbformat(monkeypatch, tmp_path):
    groups = {"nbbuild.readers": {"slides": "slides_reader:read"}}
    site = install(monkeypatch, tmp_path / "site", "slides_reader", READER, groups)
    (site / "webcolors.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(site)!r})\n{CODE}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "not there", "{'colours': 'webcolors'}"], done.stderr
