"""Find the processes that a build started, by the environment that they inherit."""

import os

import psutil


def family(project):
    """Return all processes that builds of the project started: they inherit where its log is."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RUN_LOG") == project.environ["RUN_LOG"]:
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]
