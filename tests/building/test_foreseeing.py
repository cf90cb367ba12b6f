"""What a notebook imports before anything in it could notice that it was imported already."""

from __future__ import annotations

import pytest

from nbbuild.building.supply.foreseeing import depends_on_when, foreseen, installs

INSTALLED = {"numpy", "scikit-learn"}


@pytest.mark.parametrize(
    "source",
    [
        'os.environ["MPLBACKEND"] = "agg"',
        "os.environ.update(settings)",
        "%env PANDAS_COPY_ON_WRITE=1",
        "import warnings\nwarnings.simplefilter('always')",
        "sys.modules['numpy'] = fake",
        "'pandas' in sys.modules",
        "from sys import modules",
        "%precision 3",
        "@interact(x=(0, 9))\ndef plot(x): ...",
        "widgets.interactive_output(plot, {'x': slider})",
    ],
)
def test_these_cells_may_depend_on_when_a_package_is_imported(source):
    assert depends_on_when(source)


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nnp.arange(3)",
        "os.environ['HOME']",
        "os.environ['HOME'] == home",
        "precision = 3\nprint(f'{x % precision}')",
        "interaction = model.params['age:income']",
        "from sys import path\nmodules = path",
    ],
)
def test_these_cannot_tell(source):
    assert not depends_on_when(source)


def named(*cells):
    return [(one.module, *one.names) for one in foreseen(cells, INSTALLED)]


def test_a_first_run_will_import_what_its_cells_say_under_no_condition():
    cells = (
        "%matplotlib inline\nimport numpy as np, pandas.core\nfrom scipy import stats, signal",
        "'''Text'''\nx = 1\nfrom .here import this",
        "if x:\n    import one\ntry:\n    import two\nexcept ImportError:\n    pass\n"
        "def three():\n    import three\nclass Four:\n    import four\n",
        "import xarray",
    )
    assert named(*cells) == [
        ("numpy",),
        ("pandas.core",),
        ("scipy", "stats", "signal"),
        ("xarray",),
    ]


@pytest.mark.parametrize(
    "cell",
    [
        "import sys\nsys.path.insert(0, 'vendored')",
        "from sys import path",
        "!pip install pandas==1.5",
        "files = !ls",
        "%pip install pandas",
        "%run setup.py",
        "%load_ext some.extension",
        "%%bash\nmake",
        "import matplotlib\nmatplotlib.use('svg')",
        "import os\nos.chdir('elsewhere')",
        "import subprocess\nsubprocess.run(['make'])",
        "os.system('make')",
        "import importlib\nimportlib.invalidate_caches()",
        "exec(open('setup.py').read())",
        "!pip install --upgrade numpy",
        "!pip install numpy==1.26",
        "!pip install numpy something",
        "!ls > numpy.py",
        "import os\nos.environ['MPLBACKEND'] = 'agg'",
        "import warnings\nwarnings.simplefilter('always')",
        "'pandas' in sys.modules",
        "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
    ],
)
def test_nothing_is_sure_from_where_something_may_decide_what_an_import_finds(cell):
    found = named("import numpy", cell, "import pandas")
    assert found[0] == ("numpy",)
    assert ("pandas",) not in found


@pytest.mark.parametrize(
    "cell",
    [
        "%matplotlib inline",
        "%load_ext autoreload\n%autoreload 2",
        "%config InlineBackend.figure_format = 'svg'",
        "%time x = 1",
        "%%time\nx = 1",
        "import sys\nprint(sys.version)",
        "import re\npattern = re.compile('a')",
        "plt.style.use('classic')",
        "%timeit sum(range(100))",
        "%xmode Plain",
        "!pip install numpy",
        "!pip install -q scikit_learn numpy",
        "%pip install scikit-learn[examples]",
        "!python --version",
        "!ls data",
        "import warnings",
    ],
)
def test_what_only_sets_up_the_notebook_decides_nothing(cell):
    assert ("pandas",) in named(cell, "import pandas")


def test_in_a_cell_all_counts_that_comes_before_the_line_that_decides():
    cell = "import numpy\nimport sys\nsys.path.append('..')\nimport pandas"
    assert named(cell, "import scipy") == [("numpy",), ("sys",)]


def test_what_a_cell_writes_to_a_file_is_not_imported_by_it_nor_what_that_hides():
    cells = "%%writefile pandas.py\nimport scipy", "import numpy", "import pandas"
    assert named(*cells) == [("numpy",)]


def test_text_that_reads_like_code_imports_nothing():
    assert named("%%markdown\nimport scipy", "import numpy") == [("numpy",)]


@pytest.mark.parametrize(
    ("cell", "may"),
    [
        ("!pip install numpy", False),
        ("!pip install seaborn", True),
        ("%pip install -U numpy", True),
        ("%conda install numpy", True),
        ("subprocess.run(['pip', 'install', 'x'])", True),
        ("import numpy", False),
        ("from sklearn.pipeline import Pipeline", False),
    ],
)
def test_only_what_is_not_there_can_be_installed(cell, may):
    assert installs(cell, INSTALLED) is may
