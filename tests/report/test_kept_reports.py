"""How many reports of builds stay in a project."""

from reports import document

from nbbuild.report import kept
from nbbuild.report.kept import ReportFolder, new_id


def added(folder, number, **more):
    for second in range(number):
        folder.add(document(id=new_id(1_700_000_000.0 + second), **more))
    return folder.ids()


def test_the_newest_reports_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST", 3)
    ids = added(ReportFolder(tmp_path), 5)
    assert ids == [new_id(1_700_000_000.0 + second) for second in (4, 3, 2)]


def test_of_large_reports_fewer_stay_but_always_the_newest(tmp_path, monkeypatch):
    folder = ReportFolder(tmp_path)
    added(folder, 1)
    size = next((tmp_path / ".nbbuild/reports").iterdir()).stat().st_size
    monkeypatch.setattr(kept, "MOST_BYTES", 2 * size)
    assert len(added(folder, 5)) == 2
    monkeypatch.setattr(kept, "MOST_BYTES", 0)
    assert len(added(folder, 5)) == 1
