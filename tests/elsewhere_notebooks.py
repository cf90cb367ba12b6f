"""Notebooks that are executed elsewhere, for the tests of each way to do that."""

PID = "import os\nwith open('pid', 'w') as f: _ = f.write(str(os.getpid()))\n"

CHAIN = """
[[notebook]]
path = "make.ipynb"
artefacts = ["made.txt"]

[[notebook]]
path = "use.ipynb"
assets = ["made.txt"]
"""


def chain(project, more=""):
    """Write two notebooks, of which one reads what the other writes, and a module."""
    project.config(CHAIN + more)
    project.write("helper.py", "def shout(text): return text.upper()\n")
    project.notebook("make.ipynb", "with open('made.txt', 'w') as f: _ = f.write('made')")
    project.notebook("use.ipynb", "import helper\nprint(helper.shout(open('made.txt').read()))")
