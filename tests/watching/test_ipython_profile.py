"""What a kernel reads before its first cell counts: IPython's profile, if the project has it."""

from __future__ import annotations

import pytest

from nbbuild.watching import seccomp

pytestmark = pytest.mark.skipif(bool(seccomp.unavailable()), reason=seccomp.unavailable())

STARTUP = "ipython/profile_default/startup"


@pytest.fixture
def profiled(project, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(project.root / "ipython"))
    project.config("")
    project.write(f"{STARTUP}/00-site.py", "SITE = 1")
    project.notebook("a.ipynb", "print(SITE)")
    assert project.build() == ["a"]
    assert project.build() == []
    assert project.shown("a.ipynb") == "1\n"
    return project


@pytest.mark.parametrize("warm", ['"kernel"', "false"])
def test_a_startup_file_that_changes_runs_notebooks_again(profiled, warm):
    profiled.config(f"[execution]\nwarm = {warm}")
    assert profiled.build() == []
    profiled.write(f"{STARTUP}/00-site.py", "SITE = 2")
    assert profiled.reasons("a.ipynb") == [f"'{STARTUP}/00-site.py' changed"]
    assert profiled.build() == ["a"]
    assert profiled.build() == []
    assert profiled.shown("a.ipynb") == "2\n"


def test_a_startup_file_that_is_new_runs_notebooks_again(profiled):
    profiled.write(f"{STARTUP}/01-more.py", "SITE += 2")
    assert profiled.build() == ["a"]
    assert profiled.shown("a.ipynb") == "3\n"


def test_settings_of_ipython_that_are_new_run_notebooks_again(profiled):
    settings = "get_config().InteractiveShellApp.exec_lines = ['SITE = 4']"
    profiled.write("ipython/profile_default/ipython_kernel_config.py", settings)
    assert profiled.build() == ["a"]
    assert profiled.shown("a.ipynb") == "4\n"


def test_what_a_kernel_writes_into_the_profile_runs_none(profiled):
    profiled.write("ipython/profile_default/history.note", "")
    profiled.write("b.txt", "")
    assert profiled.build() == []
