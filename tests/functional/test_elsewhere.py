"""A cache that was filled on one machine is hit on another, whatever differs besides the inputs.

The other machine has another folder, at another depth, another interpreter if there is one (another
patch level of the same Python), a virtual environment inside the project, another home, locale and
umask, and line ends of Windows in all that is code.
"""

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

WAYS = {
    "modules": "import helper\nfrom pkg.deep import value\nprint(helper.f(value))",
    "source": "import inspect, helper\nprint(inspect.getsource(helper.f))",
    "child": "import subprocess, sys\n"
    "code = 'import helper; print(helper.f(1))'\n"
    "print(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout)",
    "data": "print(open('data/t.csv').read())",
    "stat": "import os\nprint(os.stat('data/t.csv').st_size, os.access('tool.sh', os.X_OK))",
    "listing": "import os\nprint(sorted(os.listdir('data')))\nassert os.listdir('.')",
    "glob": "from pathlib import Path\nprint(sorted(Path('data').rglob('*.csv')))\n"
    "any(Path('.').rglob('*.csv'))",
    "home": "from pathlib import Path\nplace = Path.home() / '.cache/thing'\n"
    "place.mkdir(parents=True, exist_ok=True)\nprint((Path.home() / 'none.csv').exists())",
    "temporary": "import tempfile\nwith tempfile.TemporaryFile() as file: print(file.write(b'1'))",
    "interpreter": "import os, sys\n"
    "print(os.path.isdir(sys.prefix), os.path.exists(sys.executable))",
    "metadata": "from importlib.metadata import entry_points, version\n"
    "print(bool(version('ipykernel')), len(entry_points()) > 0)",
    "locale": "import locale, zoneinfo\nlocale.setlocale(locale.LC_ALL, '')\nprint(1)",
    "sqlite": "import sqlite3\nbase = sqlite3.connect('data/d.sqlite')\n"
    "print(base.execute('select 1').fetchall())\nbase.close()",
    "absent": "import os\nprint(os.path.exists('/surely/not/there.csv'), os.path.exists('no.csv'))",
}


REFRESH = ["the built notebook is missing or its prose changed"] * len(WAYS)


def files(project, *, end, umask):
    """Write the project as a clone under `umask` has it, with lines of code that end with `end`."""
    code = {
        "jcache.toml": '[project]\nnotebooks = ["*.ipynb", "text.md"]\n'
        '[execution]\nkernel = "there"\n[[notebook]]\npath = "data.ipynb"\nmodules = ["helper"]\n',
        "helper.py": "def f(x):\n    text = '''a\nb'''\n    return x + len(text)\n",
        "pkg/__init__.py": "",
        "pkg/deep.py": "value = 7\n",
        "text.md": "---\nkernelspec: {name: there}\n---\n\n"
        "```{code-cell}\nprint('''a\nb''')\n```\n",
    }
    for path, text in code.items():
        project.write(path, text.replace("\n", end).encode())
    for name, source in WAYS.items():
        project.notebook(f"{name}.ipynb", source, kernel="there")
    project.write("data/t.csv", "a\n1\n")
    project.write("tool.sh", "true\n")
    project.write("data/d.sqlite", b"")
    for place in project.root.rglob("*"):
        runs = place.is_dir() or place.suffix == ".sh"
        place.chmod((0o777 if runs else 0o666) & ~umask)


def environment(folder, python):
    """Make a virtual environment of `python` with the packages of this one; return its own."""
    made = [python, "-m", "venv", "--without-pip", str(folder)]
    if subprocess.run(made, check=False, capture_output=True).returncode:
        subprocess.run([sys.executable, *made[1:]], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "base.pth").write_text(f"{site.getsitepackages()[0]}\n")
    return folder / "bin/python"


def another_python():
    """Return another interpreter of the same minor version, this one if there is none."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which(name, path=os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin"]))
    return found or sys.executable


@pytest.mark.slow
@pytest.mark.own_way("watches system calls")
def test_a_cache_that_one_machine_filled_is_hit_on_another(
    project, project_class, monkeypatch, tmp_path
):
    def move(one, python, home, **variables):
        spec = tmp_path / home / "share/kernels/there/kernel.json"
        spec.parent.mkdir(parents=True)
        argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / home / "share"))
        monkeypatch.setenv("HOME", str(tmp_path / home))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(one.root)

    monkeypatch.setenv("NBBUILD_CACHE", str(tmp_path / "store"))
    files(project, end="\n", umask=0o022)
    move(project, environment(tmp_path / "env", sys.executable), "me", LANG="C.UTF-8")
    assert len(project.build()) == len(WAYS)

    clone = project_class(tmp_path / "builds/group/deep/a clone", project.environ)
    clone.log = project.log
    files(clone, end="\r\n", umask=0o077)
    python = environment(clone.root / ".venv", another_python())
    clone.write(".git/HEAD", "ref: refs/heads/main\n")
    move(clone, python, "builds/someone/home", LC_ALL="C", TZ="Asia/Tokyo")
    assert [reason for name in WAYS for reason in clone.reasons(f"{name}.ipynb")] == REFRESH
    assert clone.build() == []
    for path in sorted(Path(clone.root, "_build/executed").iterdir()):
        assert path.read_text() == project.read(f"_build/executed/{path.name}"), path.name

    # What is an input still is one.
    clone.write("helper.py", "def f(x):\r\n    return x\r\n")
    clone.write("data/t.csv", "a\r\n1\r\n")
    (clone.root / "tool.sh").chmod(0o600)
    assert clone.build() == ["child", "data", "modules", "source", "stat"]
