"""`nbbuild init --trace` runs the notebooks, and declares what they were seen to use."""

import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WRITE = "with open({!r}, 'w') as f: _ = f.write({!r})"


def declared(project):
    entries = tomllib.loads((project.root / "jcache.toml").read_text()).get("notebook", [])
    # (Each notebook of a test looks for its log in this variable.)
    assert all(one.pop("env") == ["RUN_LOG"] for one in entries)
    return {one.pop("path"): one for one in entries}


def test_what_was_read_written_and_in_which_order_is_declared_and_then_nothing_is_to_do(
    project, monkeypatch
):
    monkeypatch.setenv("NBBUILD_JOBS", "1")  # if they meet, both fail at first
    project.write("data.csv", "1")
    # The reader comes first by its name, and fails until there is something to read.
    project.notebook("a-plot.ipynb", "print(open('mid.txt').read())")
    project.notebook("b-make.ipynb", WRITE.format("mid.txt", "one"), "open('data.csv').read()")

    done = project.nbbuild("init", "--trace")

    assert done.status == 0, done.err
    found = declared(project)
    assert found["a-plot.ipynb"] == {"assets": ["mid.txt"]}
    assert found["b-make.ipynb"] == {"artefacts": ["mid.txt"], "assets": ["data.csv"]}
    assert "failed " not in done.err.replace("1 failed in", "")
    assert done.err.splitlines()[-1] == (
        "what the notebooks use is declared in 'jcache.toml': look through it"
    )
    assert project.build() == []
    project.write("data.csv", "2")
    assert project.build() == ["b-make"]


def test_a_notebook_that_fails_leaves_the_others_declared(project):
    project.write("data.csv", "1")
    project.notebook("bad.ipynb", "1 / 0")
    project.notebook("good.ipynb", "open('data.csv').read()")
    done = project.nbbuild("init", "--trace")
    assert done.status == 1
    assert done.err.count("failed bad.ipynb") == 1
    assert declared(project) == {"good.ipynb": {"assets": ["data.csv"]}}


def test_a_dry_run_traces_nothing(project):
    project.notebook("a.ipynb")
    done = project.nbbuild("init", "-n", "--trace")
    assert (done.status, done.ran) == (2, [])
    assert "--trace and -n contradict each other" in done.err
    assert not project.exists("jcache.toml")
