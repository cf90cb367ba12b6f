"""The stored results that verifying compares with: what the copy leaves out, what it receives."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbbuild.errors import NbbuildError
from nbbuild.export.merge import built_from
from nbbuild.model import Record
from nbbuild.notebook.configuration import configuration_file
from nbbuild.paths.patterns import Pattern
from nbbuild.paths.scratch import Scratch
from nbbuild.project.graph import makes
from nbbuild.session import Session


class StoredResults:
    """Which files of the project are results, and the stored results themselves."""

    def __init__(
        self, session: Session, needed: Sequence[str], records: Mapping[str, Record]
    ) -> None:
        self._session = session
        self._needed = needed
        self.records = records
        self._tasks = session.graph.tasks
        self._ledgers = session.tree.known()
        self._built = {task.built for task in session.project.tasks}

    def left_out(self) -> set[str]:
        """Return the files and folders that the copy must not hold, relative to the root."""
        config = self._session.config
        made = {config.project.output, *self._built}
        store = os.path.relpath(config.store, self._session.root)
        made.add(Path(store).as_posix())
        for ledger in self._ledgers.values():
            made |= {one.path for one in (*ledger.made, *ledger.built)}
            if not ledger.finished:
                made |= set(self._session.walker.match_all(ledger.patterns))
        for record in self.records.values():
            made |= {one.path for one in (*record.artefacts, *record.undeclared)} - {
                *record.altered
            }
            made |= {*record.own}
        sources = {
            path for task in self._session.project.tasks for path in (task.source, *task.paired)
        }
        return made - sources

    def complete(self, scratch: Scratch) -> None:
        """Bring into the copy what is declared or was used but is not in it yet."""
        session = self._session
        undeclared = {one.path for r in self.records.values() for one in r.undeclared}
        undeclared |= {path for record in self.records.values() for path in record.own}
        for name in self._needed:
            task = self._tasks[name]
            declared = {task.source, *task.paired, *session.walker.match_all(task.files)}
            for text in task.assets:
                declared.update(session.inputs.asset_paths(task, Pattern.parse(text)))
            parsed = session.inputs.parsed(task)
            settings = session.inputs.settings(task, parsed)
            declared.update(session.inputs.module_paths(task, parsed, settings))
            used = self.records[name].trace.items if name in self.records else ()
            # What a run only looked at, the next run looks for again.
            seen = [i for i in used if i.kind == "stat"]
            found = {i.name for i in used if i.kind == "file"}
            found |= {i.name for i in seen if i.value.startswith("f")}
            declared.update(found - undeclared)
            folders = [i.name for i in seen if i.value.startswith("d")]
            kinds = ("listing", "glob")
            folders += [i.name.partition(":")[0] for i in used if i.kind in kinds]
            for folder in (*task.python_path, *folders):
                if folder.startswith("../"):
                    scratch.link(folder)
            lacking = [path for path in sorted(declared) if scratch.lacks(path)]
            scratch.add(path for path in lacking if not self.maker(path))
        # A folder above may hold the configuration with which Jupytext reads the notebooks.
        above = configuration_file(session.root.parent)
        if above is not None and session.root.is_relative_to(above.parent):
            scratch.add([os.path.relpath(above, session.root)])

    def maker(self, path: str) -> str:
        """Return the task that makes `path`, as an artefact or built notebook; "" if none does."""
        return next(
            (
                task.name
                for task in self._session.project.tasks
                if task.built == path or makes(task, path)
            ),
            "",
        )

    def built(self, name: str) -> bytes:
        """Return the built notebook that belongs to the task's record."""
        data = built_from(self._session, self._tasks[name], self.records[name])
        if data is None:  # it was there when the records were looked up
            raise NbbuildError(f"the result of '{name}' has gone from the cache meanwhile")
        return data

    def put(self, name: str, root: Path) -> None:
        """Put the stored results of a task into the project at `root`."""
        session = self._session
        task, record = self._tasks[name], self.records.get(name)
        if record is None:
            ledger = self._ledgers.get(name)
            made = [one.path for one in ledger.made] if ledger else []
            for path in (*made, task.built):
                self._from_tree(path, root / path)
            return
        for artefact in record.artefacts:
            place = root / artefact.path
            if not session.store.restore(
                artefact.digest, place, executable=artefact.executable
            ) and not self._from_tree(artefact.path, place, digest=artefact.digest):
                raise NbbuildError(
                    f"'{artefact.path}', an artefact of '{name}', is not in the cache",
                    hint=f"build it again: `nbbuild -B {shlex.quote(name)}`",
                )
        place = root / task.built
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self.built(name))

    def _from_tree(self, path: str, place: Path, *, digest: str | None = None) -> bool:
        source = self._session.root / path
        there = self._session.digests.digest(source)
        if there is None or there != (digest or there):
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, place)
        return True
