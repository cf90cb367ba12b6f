"""Play GitHub Actions for a composite action: its steps in order, from the file that users run.

Only what action.yml uses is known, and anything else is an error: inputs and outputs in
expressions, `if:` with `always()`, `==` and `!=`, bash, and three actions of GitHub's own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Cloud:
    """What GitHub keeps between runs: caches by key, oldest first, and artifacts by name."""

    folder: Path
    caches: dict[str, Path] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    uploads: int = 0

    def kept(self, source: Path) -> Path:
        """Return a copy of a file or folder."""
        self.uploads += 1
        place = self.folder / str(self.uploads) / source.name
        place.parent.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, place)
        else:
            shutil.copy(source, place)
        return place


@dataclass
class Ran:
    """What one run of the action came to."""

    status: int  # of its first step that failed
    log: str
    summary: str
    steps: list[str]  # that ran: ids, or the actions that they use
    outputs: dict[str, str]


@dataclass
class Runner:
    """A machine that runs an action on a checkout once, and is then thrown away."""

    cloud: Cloud
    action: Path  # the folder of action.yml
    checkout: Path
    folder: Path  # for the runner's own files
    environ: dict[str, str]
    run: int

    def play(self, **inputs: str) -> Ran:
        """Run the action with these inputs; `_` in a name stands for `-`."""
        told = yaml.safe_load((self.action / "action.yml").read_text(encoding="utf-8"))
        assert told["runs"]["using"] == "composite"
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert set(given) <= set(told["inputs"])
        self._inputs = {name: one["default"] for name, one in told["inputs"].items()} | given
        self._outputs: dict[str, dict[str, str]] = {}
        self._temp = self.folder / "temp"
        self._temp.mkdir(parents=True)
        self._log = ""
        summary = self.folder / "summary.md"
        summary.touch()
        status, ran = 0, []
        for step in told["runs"]["steps"]:
            if not self._wanted(step.get("if", "success()"), failed=status != 0):
                continue
            ran.append(step.get("id") or step["uses"])
            done = self._use(step) if "uses" in step else self._shell(step, summary)
            status = status or done
        outputs = {name: self._filled(one["value"]) for name, one in told["outputs"].items()}
        return Ran(status, self._log, summary.read_text(encoding="utf-8"), ran, outputs)

    def _shell(self, step: dict[str, Any], summary: Path) -> int:
        assert step["shell"] == "bash"
        output = self.folder / f"output-{step['id']}"
        output.touch()
        environ = {
            **self.environ,
            **{name: self._filled(value) for name, value in step.get("env", {}).items()},
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_RUN_ID": str(self.run),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_WORKSPACE": str(self.checkout),
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(self._temp),
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", self._filled(step["run"])],
            cwd=self.checkout / self._filled(step["working-directory"]),
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self._log += done.stdout
        lines = output.read_text(encoding="utf-8").splitlines()
        self._outputs[step["id"]] = dict(line.split("=", 1) for line in lines)
        return done.returncode

    def _use(self, step: dict[str, Any]) -> int:
        given = {name: self._filled(value) for name, value in step["with"].items()}
        place = Path(given["path"])
        caches = self.cloud.caches
        if step["uses"] == "actions/cache/restore@v4":
            found = [key for key in caches if key.startswith(given["restore-keys"])]
            if given["key"] in caches or found:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(caches[given["key"] if given["key"] in caches else found[-1]], place)
        elif step["uses"] == "actions/cache/save@v4":
            assert given["key"] not in caches
            caches[given["key"]] = self.cloud.kept(place)
        elif step["uses"] == "actions/upload-artifact@v4":
            assert given["name"] not in self.cloud.artifacts
            if any(place.iterdir()):
                self.cloud.artifacts[given["name"]] = self.cloud.kept(place)
        else:
            raise NotImplementedError(step["uses"])
        return 0

    def _wanted(self, condition: str, *, failed: bool) -> bool:
        """Return whether a step runs; without a function for the status it needs success."""
        parts = condition.split(" && ")
        if "always()" not in parts and failed:
            return False
        return all(self._holds(part) for part in parts if part not in ("always()", "success()"))

    def _holds(self, part: str) -> bool:
        found = re.fullmatch(r"(\S+) (==|!=) '([^']*)'", part)
        assert found is not None, part
        return (self._value(found[1]) == found[3]) is (found[2] == "==")

    def _filled(self, text: str) -> str:
        return _EXPRESSION.sub(lambda found: self._value(found[1]), text)

    def _value(self, expression: str) -> str:
        if expression == "github.action_path":
            return str(self.action)
        kind, *names = expression.split(".")
        if kind == "inputs" and len(names) == 1:
            return self._inputs[names[0]]
        if kind == "steps" and names[1] == "outputs":
            return self._outputs.get(names[0], {}).get(names[2], "")
        raise NotImplementedError(expression)
