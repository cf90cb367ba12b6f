"""Which notebooks have nothing loaded beforehand, because they might notice."""

from __future__ import annotations

import pytest

from nbbuild.building.warming import depends_on_when


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
