"""`pytest --nbbuild`: what pytest loads in every run, and why that costs nothing.

Without the option, nothing else of nbbuild is imported: everything that knows of notebooks is in
nbbuild.bridges.pytest_notebooks. pytest finds this as the entry point `nbbuild`, which
`-p no:nbbuild` leaves out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("nbbuild").addoption(
        "--nbbuild",
        action="store_true",
        help="Test the notebooks that jcache.toml lists: those that are up to date pass, "
        "the others are built.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect notebooks if the option is given."""
    if config.getoption("nbbuild"):
        from nbbuild.bridges.pytest_notebooks import Notebooks

        config.pluginmanager.register(Notebooks(config), "nbbuild-notebooks")
