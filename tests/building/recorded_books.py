"""What the pages of two public books import, before anything in them could notice or decide it.

Taken from QuantEcon's lectures on Python programming (lecture-python-programming.myst) and Jake
VanderPlas's Python Data Science Handbook, as they were in November 2026, by `foreseen`, with their
packages installed. Pages that import no package are left out.
"""

from __future__ import annotations

from nbbuild.interpreter.imports import Import

_LECTURES = """
about_py: matplotlib.pyplot networkx numpy scipy.integrate scipy.stats
debugging: matplotlib.pyplot numpy
functions: matplotlib.pyplot numpy numpy.random scipy.integrate
getting_started: matplotlib.pyplot numpy
matplotlib: matplotlib matplotlib.pyplot mpl_toolkits.mplot3d.axes3d numpy scipy.stats
need_for_speed: matplotlib.pyplot numpy quantecon
numpy: matplotlib matplotlib.pyplot mpl_toolkits.mplot3d.axes3d numpy numpy.random quantecon
python_advanced_features: matplotlib.pyplot numpy
python_by_example: matplotlib.pyplot numpy
python_essentials: numpy
python_oop: matplotlib.pyplot numpy scipy.integrate
sympy: matplotlib.pyplot numpy sympy sympy.plotting sympy.solvers.inequalities sympy.stats
workspace: matplotlib.pyplot numpy
writing_good_code: matplotlib.pyplot numpy scipy.optimize
"""

_HANDBOOK = """
02.00: numpy
02.01: numpy
02.02: numpy
02.03: numpy scipy
02.04: matplotlib.pyplot numpy pandas
02.05: matplotlib.pyplot numpy
02.06: matplotlib.pyplot numpy
02.07: matplotlib.pyplot numpy
02.08: matplotlib.pyplot numpy
02.09: numpy
03.00: pandas
03.01: numpy pandas
03.02: pandas
03.03: numpy pandas
03.04: numpy pandas
03.05: numpy pandas
03.06: numpy pandas
03.07: numpy pandas
03.08: numpy pandas seaborn
03.09: matplotlib matplotlib.pyplot numpy pandas seaborn
03.10: numpy pandas
03.11: dateutil matplotlib.pyplot numpy pandas pandas.tseries.offsets
03.12: numexpr numpy pandas
04.00: matplotlib matplotlib.pyplot numpy
04.01: matplotlib.pyplot numpy
04.02: matplotlib.pyplot numpy
04.03: matplotlib.pyplot numpy
04.04: matplotlib.pyplot numpy
04.05: matplotlib.pyplot numpy scipy.stats
04.06: matplotlib.legend matplotlib.pyplot numpy pandas
04.07: matplotlib.colors matplotlib.pyplot numpy
04.08: matplotlib.pyplot numpy
04.09: matplotlib matplotlib.pyplot numpy pandas
04.10: matplotlib.pyplot numpy
04.11: matplotlib matplotlib.pyplot numpy
04.12: matplotlib.pyplot matplotlib.tri mpl_toolkits numpy
04.14: matplotlib.pyplot numpy pandas seaborn
05.02: matplotlib.pyplot numpy seaborn
05.03: matplotlib.pyplot numpy
05.04: matplotlib.pyplot numpy pandas
05.05: matplotlib.pyplot numpy seaborn
05.06: matplotlib.pyplot numpy pandas pandas.tseries.holiday
05.07: matplotlib.pyplot numpy scipy
05.08: matplotlib.pyplot numpy seaborn
05.09: matplotlib.pyplot numpy
05.10: matplotlib matplotlib.pyplot mpl_toolkits numpy
05.11: matplotlib.pyplot numpy scipy.stats seaborn
05.12: matplotlib.patches matplotlib.pyplot numpy scipy.spatial.distance
05.13: matplotlib.pyplot numpy scipy.stats
05.14: matplotlib.pyplot numpy
06.00: matplotlib matplotlib.collections matplotlib.pyplot mpl_toolkits.mplot3d.art3d numpy pandas
"""
# Without scikit-learn and numba, which are never loaded before a fork.


def _wanted(text: str) -> dict[str, frozenset[Import]]:
    lines = (line.partition(": ") for line in text.strip().splitlines())
    return {
        page: frozenset(Import(0, module) for module in modules.split())
        for page, _, modules in lines
    }


LECTURES = _wanted(_LECTURES)
HANDBOOK = _wanted(_HANDBOOK)

SECONDS = {
    "numpy": 0.09,
    "pandas": 0.24,
    "matplotlib": 0.1,
    "matplotlib.pyplot": 0.26,
    "scipy.stats": 0.45,
    "scipy.integrate": 0.2,
    "scipy.optimize": 0.2,
    "sympy": 0.3,
    "networkx": 0.25,
    "quantecon": 1.5,
    "seaborn": 0.5,
}
"""About what imports take on the machine that performance.md speaks of."""
