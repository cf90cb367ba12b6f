"""What a stat answers of modes: those that a umask left are the same in every clone."""

import os

import pytest

from nbbuild.model import Trace, TraceItem
from nbbuild.watching.answers import answer, sentence
from nbbuild.watching.modes import masks, shown
from nbbuild.watching.traces import Traces


def clone(folder, umask):
    """Make a project as under `umask`, without changing that of this process."""
    files = {"jcache.toml": 0o666, "data.csv": 0o666, "tool.sh": 0o777}
    for name, mode in files.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("1")
        (folder / name).chmod(mode & ~umask)
    (folder / "more").mkdir()
    (folder / "more").chmod(0o777 & ~umask)
    return folder


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o027, 0o077])
def test_a_clone_under_another_umask_answers_the_same(tmp_path, umask):
    root = clone(tmp_path / "clone", umask)
    found = [answer(str(root / name), "stat", masks(root)) for name in ("data.csv", "tool.sh")]
    assert found == ["f 1 644", "f 1 755"]
    assert answer(str(root / "more"), "stat", masks(root)) == "d - 755"


def test_a_mode_that_somebody_gave_counts_wherever_it_is_seen(tmp_path):
    items = (TraceItem("stat", "data.csv", "f 1 644", way="stat"),)
    for umask in (0o022, 0o077):
        root = clone(tmp_path / f"{umask:o}", umask)
        traces = Traces(root, digest=str)

        def broken(traces=traces):
            found = traces.broken(Trace(items=items), probe=None, own=lambda path: False)
            return [one.text for one in found]

        assert broken() == []
        (root / "data.csv").chmod(0o640)
        assert broken() == ["'data.csv' has the mode 640 now, not 644"]
        (root / "data.csv").chmod(0o755 & ~umask)
        assert broken() == ["'data.csv' has the mode 755 now, not 644"]


def test_a_usual_mode_where_it_is_unusual_is_marked():
    assert shown("f", 0o644, {0o077}) == "=644"
    assert shown("f", 0o600, {0o077}) == "644"
    assert shown("o", 0o644, {0o022}) == "644"
    assert sentence("a", "f 1 644", "f 1 =644") == "'a' has another mode now, not 644"


def test_a_configuration_with_a_mode_of_its_own_says_nothing(tmp_path):
    own = masks(tmp_path)
    for mode in (0o444, 0o755):
        (tmp_path / "jcache.toml").write_text("")
        os.chmod(tmp_path / "jcache.toml", mode)
        assert masks(tmp_path) == own
