"""Change one thing after a build, and see what it does: run, or nothing."""

import os


def keeping_time(path, content):
    """Write a file so that its size and modification time stay what they were."""
    was = path.stat()
    assert len(content) == was.st_size
    path.write_text(content)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def put(place, content):
    """Write a file, with the folders that it needs, or remove it (None); return how to undo it."""
    old = place.read_bytes() if place.exists() else None
    made = [folder for folder in place.parents if not folder.exists()]
    if content is None:
        place.unlink()
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())

    def undo():
        if old is not None:
            place.write_bytes(old)
            return
        place.unlink()
        for folder in made:
            folder.rmdir()

    return undo


def assert_each_asks(project, changes, *, task="a.ipynb"):
    """Check that each change asks for a run, for its reason alone, and costs nothing undone.

    `changes` maps a path to its new content (None: gone) and the reason that is told; a reason of
    None means that the change does not matter.
    """
    assert project.reasons(task) == []
    for path, (content, reason) in changes.items():
        undo = put(project.root / path, content)
        assert (path, project.reasons(task)) == (path, [reason] if reason else [])
        undo()
        assert (path, project.verdicts(task)) == (path, {task: "fresh"})
