"""Read the Docs builds what CI has run: in an empty environment, by anonymous HTTP, no kernel."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from remote_places import loopback, web_server

from nbbuild.store.remote.signing import new_keys

pytestmark = pytest.mark.slow

__all__ = ["loopback", "web_server"]

PAGE = Path(__file__).parents[2] / "docs/how-to/read-the-docs.md"
SECRET, PUBLIC = new_keys()


def command_of_the_page(url):
    """Return the command that the page has Read the Docs run before Sphinx, with another URL."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    (command,) = yaml.safe_load(text)["build"]["jobs"]["pre_build"]
    return re.sub(r"https://\S+", url, command)


@pytest.mark.parametrize("number", [30, pytest.param(200, marks=pytest.mark.stress)])
def test_a_project_is_restored_in_an_empty_environment(
    project, web_server, monkeypatch, tmp_path, number
):
    project.config(
        f'[cache]\nremote = "s3://where-ci-writes"\npublic_keys = ["{PUBLIC}"]\npush_wait = "60s"'
    )
    for one in range(number):
        project.notebook(f"docs{one % 5}/{one}.ipynb", f"print('chapter {one}')", log=False)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("NBBUILD_BRANCH", "main")
    monkeypatch.setenv("NBBUILD_SIGNING_KEY", SECRET)
    monkeypatch.setenv("NBBUILD_REMOTE", web_server.url)
    assert project.nbbuild().status == 0

    checkout = tmp_path / "home/docs/checkouts/readthedocs.org/user_builds/book/checkouts/latest"
    ignored = shutil.ignore_patterns(".nbbuild", "_build")
    shutil.copytree(project.root, checkout / "docs", ignore=ignored)
    home = tmp_path / "home/docs"
    environ = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "READTHEDOCS": "True",
        "READTHEDOCS_GIT_IDENTIFIER": "topic",
        "LANG": "C",
    }
    web_server.requests.clear()
    web_server.methods.clear()
    done = subprocess.run(
        command_of_the_page(web_server.url),
        shell=True,
        cwd=checkout,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{number} refreshed in ")
    # The head of the branch, which is not there; that of main; its records; their blobs.
    assert web_server.methods == {"GET": 4}
    shown = json.loads((checkout / "docs/_build/executed/docs1/1.ipynb").read_text())
    assert shown["cells"][0]["outputs"][0]["text"] == ["chapter 1\n"]


def test_what_ci_has_not_run_fails_by_name_there(project, web_server, monkeypatch):
    project.config(f'[cache]\nremote = "{web_server.url}"\npublic_keys = ["{PUBLIC}"]')
    project.notebook("new.ipynb", "1")
    words = command_of_the_page(web_server.url).split()
    monkeypatch.setenv("NBBUILD_REMOTE", web_server.url)
    done = project.nbbuild(*words[words.index("nbbuild") + 1 :][2:])
    assert (done.status, done.ran) == (1, [])
    assert "failed new.ipynb" in done.err
