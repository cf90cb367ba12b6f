"""Nothing is declared: the modules that a notebook imported decide, and where they were found."""

import zipfile

from changes import assert_each_asks

CHILD = (
    "import subprocess, sys\n"
    "done = subprocess.run([sys.executable, {script!r}], capture_output=True, text=True)\n"
    "print(done.stdout, done.stderr)"
)


def test_only_the_modules_that_were_imported_count(project):
    project.config("")
    project.write("pkg/__init__.py", "from . import near\n")
    project.write("pkg/near.py", "from .deep.low import LOW\n")
    project.write("pkg/deep/low.py", "LOW = 'low'\n")  # a namespace package
    project.write("pkg/unused.py", "UNUSED = 0\n")
    project.write("plugins/one.py", "NAME = 'plugin one'\n")
    project.write("plugins/two.py", "NAME = 'plugin two'\n")
    project.write(
        "withdata.py",
        "from pathlib import Path\nTEXT = Path(__file__).with_name('beside.json').read_text()\n",
    )
    project.write("beside.json", "{}")
    project.notebook(
        "a.ipynb",
        "import pkg\nprint(pkg.near.LOW)",
        "import importlib\nprint(importlib.import_module('plugins.' + 'eno'[::-1]).NAME)",
        "from withdata import TEXT\nprint(TEXT)",
        "try:\n    import optional\nexcept ImportError:\n    print('without')",
    )
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "low\nplugin one\n{}\nwithout\n"
    missing = (
        "`import optional`, which found nothing, finds 'optional{}' now (looked for by In [5])"
    )
    assert_each_asks(
        project,
        {
            "pkg/__init__.py": (
                "from . import near  # !\n",
                "'pkg/__init__.py' changed (imported by In [2])",
            ),
            "pkg/near.py": (
                "LOW = 0",
                "'pkg/near.py' changed (imported by In [2], through pkg/__init__.py)",
            ),
            "pkg/deep/low.py": (
                "LOW = 0",
                "'pkg/deep/low.py' changed (imported by In [2], through pkg/near.py)",
            ),
            "pkg/unused.py": ("UNUSED = 1\n", None),
            "plugins/one.py": (
                "NAME = 'another'",
                "'plugins/one.py' changed (imported by In [3])",
            ),
            "plugins/two.py": ("NAME = 'another'", None),
            "beside.json": ("[]", "'beside.json' changed (In [4])"),
            "optional.py": ("", missing.format(".py")),
            "optional/__init__.py": ("", missing.format("/__init__.py")),
            "unasked.py": ("", None),
        },
    )


def test_a_module_that_begins_to_hide_another_counts(project):
    project.config('[project]\nnotebooks = ["*.ipynb"]\npython_path = ["src"]')
    project.write("src/helper.py", "WHERE = 'in src'\n")
    project.write("src/space/part.py", "")
    project.write("other/space/part.py", "")
    project.notebook(
        "a.ipynb",
        "import helper, colorsys, msgspec\nfrom space import part",
        "print(helper.WHERE, hasattr(colorsys, 'rgb_to_hsv'))",
    )
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "in src True\n"
    hides = "'{}' hides an installed module of the same name".format
    finds = "`import {}` finds '{}' now (imported by In [2])".format
    assert_each_asks(
        project,
        {
            "helper.py": ("WHERE = 'beside'\n", finds("helper", "helper.py")),
            "helper/__init__.py": ("", finds("helper", "helper/__init__.py")),
            "helper/part.txt": ("no package, for the one in src is whole", None),
            "src/helper/__init__.py": ("", finds("helper", "src/helper/__init__.py")),
            "msgspec.py": ("", hides("msgspec.py")),
            "src/msgspec/__init__.py": ("", hides("src/msgspec/__init__.py")),
            "colorsys.py": ("in a kernel the standard library goes before", None),
            "other/msgspec.py": ("", None),
            "json.py": ("the kernel had it before the first cell", None),
        },
    )
    project.write("helper.py", "WHERE = 'beside'\n")
    project.write("colorsys.py", "")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "beside True\n"


def test_imports_hold_whatever_became_of_the_search_path_and_the_working_folder(project):
    """They are resolved anew over the path of that moment."""
    project.config("")
    project.write("lib/inside.py", "X = 'inside'\n")
    project.write("later/deferred.py", "X = 'deferred'\n")
    project.write("atroot.py", "X = 'at the root'\n")
    project.notebook(
        "notes/a.ipynb",
        "import sys\nsys.path.insert(0, '../lib')\nimport inside\nsys.path.remove('../lib')",
        "try:\n    import deferred\nexcept ImportError:\n    deferred = None",
        "sys.path.append(os.path.abspath('../later'))",
        "os.chdir('..')\nimport atroot\nos.chdir('notes')",
        "print(inside.X, atroot.X, deferred)",
    )
    assert project.build() == ["notes/a"]
    assert project.shown("notes/a.ipynb") == "inside at the root None\n"
    assert_each_asks(
        project,
        {
            "lib/inside.py": ("X = 0", "'lib/inside.py' changed (imported by In [2])"),
            "atroot.py": ("X = 0", "'atroot.py' changed (imported by In [5])"),
            "notes/inside.py": ("found later than what lies in lib", None),
            "lib/inside/__init__.py": (
                "",
                "`import inside` finds 'lib/inside/__init__.py' now (imported by In [2])",
            ),
            "notes/deferred.py": (
                "",
                "`import deferred`, which found nothing, finds 'notes/deferred.py' now "
                "(looked for by In [3])",
            ),
            "notes/atroot.py": ("", None),
        },
        task="notes/a.ipynb",
    )


def test_what_a_script_imports_in_a_process_of_its_own_counts(project):
    project.config("")
    project.write("tools/script.py", "import helper\nprint(helper.X)\n")
    project.write("tools/helper.py", "X = 'of the script'\n")
    project.write("helper.py", "X = 'of the notebook'\n")
    project.notebook(
        "a.ipynb", "import helper\nprint(helper.X)", CHILD.format(script="tools/script.py")
    )
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "of the notebook\nof the script\n \n"
    assert_each_asks(
        project,
        {
            "tools/helper.py": ("X = 0", "'tools/helper.py' changed (imported by In [3])"),
            "helper.py": ("X = 0", "'helper.py' changed (imported by In [2])"),
            "tools/helper/__init__.py": (
                "",
                "`import helper` finds 'tools/helper/__init__.py' now (imported by In [3])",
            ),
            "helper/__init__.py": (
                "",
                "`import helper` finds 'helper/__init__.py' now (imported by In [2])",
            ),
            "script.py": ("", None),
        },
    )


def test_a_module_that_the_notebook_itself_writes_does_not_count(project):
    project.config("")
    project.notebook(
        "a.ipynb",
        "with open('made.py', 'w') as f: _ = f.write('X = 1')\nimport made",
        "%%writefile asked.py\nX = 2",
        "import asked\nprint(made.X, asked.X)",
    )
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "Writing asked.py\n1 2\n"
    assert project.build() == []
    assert_each_asks(
        project,
        {
            "made.py": ("X = 'edited'\n", None),
            # IPython says "Overwriting" when there is one.
            "asked.py": ("X = 'edited'\n", "'asked.py' is not as the run left it (In [3])"),
        },
    )
    (project.root / "made.py").unlink()
    (project.root / "asked.py").unlink()
    assert project.build() == []


def test_modules_that_a_finder_of_their_own_finds_count_by_their_files(project):
    """As those of editable installs do, whose folders are on no path."""
    project.config("")
    project.write("hidden/far.py", "X = 'far'\n")
    project.write(
        "finder.py",
        "import importlib.util, sys\n"
        "class Finder:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'far':\n"
        "            return importlib.util.spec_from_file_location(name, 'hidden/far.py')\n"
        "sys.meta_path.append(Finder)\n",
    )
    project.notebook("a.ipynb", "import finder\nimport far\nprint(far.X)")
    assert project.build() == ["a"]
    assert_each_asks(
        project,
        {
            "hidden/far.py": ("X = 0", "'hidden/far.py' changed"),
            "hidden/other.py": ("", None),
        },
    )


def test_what_the_standard_library_lacks_on_this_system_does_not_count(project):
    project.config("")
    project.notebook(
        "a.ipynb",
        "import asyncio, ctypes.util, getpass, multiprocessing.connection, subprocess, webbrowser",
        "try:\n    import winreg\nexcept ImportError:\n    pass",
    )
    assert project.build() == ["a"]
    assert project.build() == []


def test_a_zip_file_that_comes_to_lie_on_the_path_is_looked_into(project):
    project.config("")
    project.write("nb/helper.py", "V = 'a file'\n")
    project.notebook(
        "nb/a.ipynb",
        "import sys\nsys.path.insert(0, 'lib.zip')\n"
        "try:\n    import extra\n    print(extra.V)\nexcept ImportError:\n    print('without')",
        "import helper\nprint(helper.V)",
    )
    assert project.build() == ["nb/a"]
    assert project.shown("nb/a.ipynb") == "without\na file\n"

    def packed(**modules):
        with zipfile.ZipFile(project.root / "nb/lib.zip", "w") as archive:
            for name, text in modules.items():
                archive.writestr(f"{name}.py", text)

    packed(unrelated="")
    assert project.build() == []
    packed(extra="V = 'extra'")
    assert project.build() == ["nb/a"]
    assert project.build() == []
    assert project.shown("nb/a.ipynb") == "extra\na file\n"
    packed(extra="V = 'extra'", helper="V = 'packed'")
    assert project.build() == ["nb/a"]
    assert project.shown("nb/a.ipynb") == "extra\npacked\n"
