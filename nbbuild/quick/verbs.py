"""The verbs that the command has; imports nothing, so that a build can begin without them."""

VERBS = {
    "build": "Build the targets. This is the default verb.",
    "watch": "Build again whenever a file is saved.",
    "status": "Say what is out of date, and run nothing.",
    "explain": "Say why a notebook would run, or why not.",
    "list": "List the notebooks and their tasks.",
    "graph": "Show what depends on what.",
    "diff": "Show how the code differs from that of an earlier run.",
    "report": "Show what a build came to, and write it as HTML, JUnit, …",
    "show": "Show what became of a notebook: outcome, timings, traceback.",
    "merge": "Write a notebook with its cached outputs to a file.",
    "invalidate": "Make notebooks run again in the next build.",
    "verify": "Execute again without the cache, and compare with what it holds.",
    "export": "Hand results over to Sphinx, Jupyter Book, mystmd or make.",
    "init": "Write a jcache.toml for the notebooks of a folder or a book.",
    "add": "Add notebooks to jcache.toml, with what they depend on.",
    "remove": "Take notebooks out of jcache.toml.",
    "clean": "Remove what was built.",
    "cache": "Inspect and manage the cache.",
    "import": "Import results from another tool's cache.",
    "completion": "Print what a shell needs to complete verbs and targets.",
    "help": "Show how a verb is used.",
}
"""Verb → one line of help; in the order of `nbbuild --help`."""

WORKER = "worker"
"""A verb for programs: no help lists it, since nobody types it."""

COMPLETING = "_NBBUILD_COMPLETE"
"""The variable that is set while a shell completes a command line."""
