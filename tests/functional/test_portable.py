"""The portable way of executing, seen from whole builds; most stories run on it in .ci/run."""

import pytest

from nbbuild.kernels import ways


@pytest.mark.own_way("a result goes from one way to the other")
def test_a_result_of_one_way_is_a_hit_on_the_other_and_marked(project, monkeypatch):
    project.config("")
    project.write("data.txt", "some data")
    project.notebook("a.ipynb", "print(open('data.txt').read())")

    monkeypatch.setenv("NBBUILD_PORTABLE", "1")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "some data\n"
    assert project.build() == []
    (there,) = project.nbbuild("status", "--json").data
    assert there["marks"] == []

    monkeypatch.setenv("NBBUILD_PORTABLE", "0")
    assert project.build() == []
    (here,) = project.nbbuild("status", "--json").data
    seen_less = "its last run was watched in Python only: its machine allowed no more"
    assert here["marks"] == ([] if ways.unseen() else [seen_less])

    monkeypatch.setenv("NBBUILD_PORTABLE", "1")
    project.write("data.txt", "other data")
    assert project.reasons("a.ipynb") == ["'data.txt' changed (In [2])"]
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "other data\n"
