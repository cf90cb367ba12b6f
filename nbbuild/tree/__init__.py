"""What nbbuild writes into the project's tree, and how it knows what is its own.

The tree belongs to the user. nbbuild adds built notebooks and artefacts to it, and later removes
only what it can prove to have made. The proof is a ledger per task, in
`.nbbuild/tree/<task>.json`, and the rule that bytes are deleted only if the store has them.
Anything else in the way moves to `.nbbuild/replaced/`, and the user is informed of it.

**A run** goes through these states of its ledger, each on the disk before the next step begins:

    finished    `made` lists the files that the last run or restore left
      begin     removes them; then notes the artefact patterns, and every file that matches now
    unfinished  whatever matches the noted patterns, and looks different, is that run's
      collect   takes what the run wrote into the store
    finished    `made` lists it

So a crash, wherever it comes, leaves a ledger from which the next `begin` or `restore` can tell
what is a leftover:

- killed while `begin` removes: the old ledger still lists the rest;
- killed in the run, or before `collect` has finished the ledger: the notes show what it wrote;
- a run that failed: the same, since `abandon` leaves the ledger unfinished.

**A restore** stages everything it needs before it touches anything, so that a damaged blob costs
nothing. Before it moves the first file, its ledger lists the files that will be there beside those
that are: if it is killed halfway, both are leftovers and are removed next time. Such a ledger is
unfinished but has no notes of what matched before (`before` is None). Then patterns decide nothing:
they would take the user's files for ours.

**Looks different** means: another ctime, inode or size. No program can set ctime back, and a run
that writes the same bytes again changes it. If a file changed in the present tick of that clock,
`begin` waits for the next tick, so that "the same" is never an accident.

**Two tasks, one path.** Patterns move from task to task as jcache.toml is edited. The ledger with
the later `when_ns` owns a path; an older one no longer removes it.

**What a run left undeclared** is also listed in its ledger, with the bytes that it had when the run
ended. A file that still has these bytes is the run's, otherwise it is the user's. Before the task's
next run two kinds are cleared away, so that it begins as in a clean build: scratch, and what the
run is sure to write again. The second kind moves to `.nbbuild/aside/<task>/`, where it stays until
the next file of its name comes. Everything else stays: a run may keep a download on purpose. Before
a forced run, what the last one had looked for moves to `.nbbuild/replaced/`.

**A task that is gone** leaves its ledger. Files that another task's patterns match are inherited:
they are that task's leftovers until it has run or been restored. All others are removed by the
next build that builds something (`gone`). If `[project] output` has changed, built notebooks are
removed from their old places.

**Where to.** Paths come from records that somebody else may have written. Every path is checked
before anything is written or removed (`confined`): inside the root, through no link that leaves
it, no source, nothing in `.git` or `.nbbuild`, and matched by the task's own patterns.

Callers hold `outputs_lock` around everything that changes the tree for a task.
"""

from nbbuild.tree.confined import Refused
from nbbuild.tree.ledger import Ledger, Ledgers, Left, Made
from nbbuild.tree.tree import ArtefactError, Restored, Tree

__all__ = ["ArtefactError", "Ledger", "Ledgers", "Left", "Made", "Refused", "Restored", "Tree"]
