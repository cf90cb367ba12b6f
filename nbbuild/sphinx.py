"""The Sphinx extension: `extensions = ["nbbuild.sphinx"]` in conf.py."""

from nbbuild.bridges.sphinx_extension import setup

__all__ = ["setup"]
