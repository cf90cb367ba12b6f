"""A module that a notebook does not find, though a folder of the project has it."""


def test_the_hint_can_be_followed_to_the_letter(project):
    project.write("src/model/__init__.py", "from model.parts import X\n")
    project.write("src/model/parts.py", "X = 7\n")
    project.write("tools/helper.py", "Y = 8\n")
    project.write("a/both.py", "")
    project.write("b/both.py", "")
    project.config("")
    project.notebook("chapters/one.ipynb", "import model, helper", "print(model.X + helper.Y)")
    project.notebook("chapters/parts.ipynb", "import parts")
    project.notebook("chapters/two.ipynb", "import both")

    def hint(name):
        return project.nbbuild("show", "--json", name).data["outcome"]["failure"]["hint"]

    assert project.nbbuild().status == 1
    assert hint("chapters/one.ipynb") == (
        "'model' is in 'src'; in jcache.toml, under [project]: python_path = [\"src\"]"
    )
    # A file inside a package has another name, and of two folders nobody knows which is meant.
    assert hint("chapters/parts.ipynb") == hint("chapters/two.ipynb") == ""

    for said in ("", '["src"]'):
        line = hint("chapters/one.ipynb").split("[project]: ")[1]
        assert (line == 'python_path = ["src"]') == (not said)
        project.config(f'[project]\nnotebooks = ["chapters/one.ipynb"]\n{line}\n')
        status = project.nbbuild().status
    assert status == 0
    assert project.shown("chapters/one.ipynb") == "15\n"
