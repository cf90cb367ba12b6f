"""jupyter-cache's command `jcache`, whole: each of its groups registers itself when imported."""

import pkgutil
from importlib import import_module

from jupyter_cache.cli import commands
from jupyter_cache.cli.commands.cmd_main import jcache

__all__ = ["jcache"]

for module in pkgutil.iter_modules(commands.__path__, f"{commands.__name__}."):
    import_module(module.name)
