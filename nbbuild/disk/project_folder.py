"""nbbuild's own folder in a project's root: its name and its parts.

    <root>/.nbbuild/
        store/                 the blobs and records, unless [cache] path says otherwise
        state.sqlite           digests, durations, and what else a build remembers; can be deleted
        tree/<task>.json       what nbbuild wrote into the project, task by task
        staged/<task>/         artefacts on their way to their places
        replaced/<run>/        files that stood in the way of what nbbuild wrote
        aside/<task>/          undeclared files of a run that a later one must not find
        failed/<path>          the notebooks of runs that failed, as far as they got
        retired                records that no longer count, one id per line
        marked                 tasks that run at the next build, one name per line
        uptodate/<key>         what the last good build of some targets rested on
        heads                  the newest heads of remote caches that were read, by number
        make/<file>/<digest>.d what a built notebook rests on, for make
        tracer/                what the tracer in the kernels keeps for the next one
        reports/<id>.json      what the last builds came to
        sphinx/jupyter_cache/  results for MyST-NB, of `nbbuild.sphinx`
        locks/                 held while one of these is written, or while a task runs
        CACHEDIR.TAG, .gitignore

It is made for its owner alone (0700), and its files get no right that it does not grant
(durable.own_mode): outputs may show what nobody else may see.

nbbuild/quick imports this module before it can say that there is nothing to do, so this module
imports nothing that takes time.
"""

from __future__ import annotations

from typing import Final

DOT: Final = ".nbbuild"
"""The folder in a project's root for nbbuild's own files."""

STORE: Final = f"{DOT}/store"
"""Where the store is by default, relative to the root."""

STATE: Final = "state.sqlite"
TREE: Final = "tree"
STAGED: Final = "staged"
REPLACED: Final = "replaced"
ASIDE: Final = "aside"
FAILED: Final = "failed"
RETIRED: Final = "retired"
MARKED: Final = "marked"
UPTODATE: Final = "uptodate"
MAKE: Final = "make"
HEADS: Final = "heads"
TRACER: Final = "tracer"
REPORTS: Final = "reports"
SPHINX: Final = "sphinx"
LOCKS: Final = "locks"
