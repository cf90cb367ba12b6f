"""Parameters go into notebooks; `name` and `matrix` make several tasks of one notebook."""

import json

from notebook_sources import LOG, code, ipynb, prose

TYPED = """[[notebook]]
path = "model.ipynb"
parameters = { country = "UK", year = %s, ratio = 0.5, on = true, day = 2024-02-29, names = ["é"] }
"""

TOGETHER = """
import os, pathlib, time
os.makedirs("out", exist_ok=True)
pathlib.Path(f"at-{country}").touch()
end = time.monotonic() + 60
while not {"at-UK", "at-FR"} <= {p.name for p in pathlib.Path().glob("at-*")}:
    assert time.monotonic() < end, "the other one does not run at the same time"
    time.sleep(0.01)
"""


def tasks(project):
    return {one["task"]: one for one in project.nbbuild("list", "--json").data}


def test_parameters_follow_their_defaults_typed_and_are_recorded(project):
    show = "print([country, year, ratio, on, day, names])"
    project.notebook("model.ipynb", code("country = year = None", tags=["parameters"]), show)
    source = project.read("model.ipynb")
    project.config(TYPED % "2024")

    assert project.build() == ["model"]
    shown = "['UK', {}, 0.5, True, datetime.date(2024, 2, 29), ['é']]\n"
    assert project.shown("model.ipynb") == shown.format("2024")
    built = project.built("model.ipynb")
    assert [cell["metadata"].get("tags", []) for cell in built["cells"]] == [
        [],
        ["parameters"],
        ["injected-parameters"],
        [],
    ]
    assert "".join(built["cells"][2]["source"]).startswith("# Parameters\n")
    assert built["metadata"]["nbbuild"]["parameters"] == {
        "country": "UK",
        "year": 2024,
        "ratio": 0.5,
        "on": True,
        "day": "2024-02-29",
        "names": ["é"],
    }
    assert project.read("model.ipynb") == source
    assert project.build() == []

    # The same digits of another type are another value.
    project.config(TYPED % '"2024"')
    assert project.reasons("model.ipynb") == ["parameter 'year' changed: 2024 → \"2024\""]
    assert project.build() == ["model"]
    assert project.shown("model.ipynb") == shown.format("'2024'")
    project.config(TYPED % "2024")
    assert project.build() == []
    assert project.shown("model.ipynb") == shown.format("2024")


def test_an_injected_cell_that_is_there_already_is_replaced(project):
    project.notebook(
        "again.ipynb",
        code("x = 0", tags=["parameters"]),
        prose("Between."),
        code("x = 1", tags=["injected-parameters"]),
        "print(x)",
    )
    project.config('[[notebook]]\npath = "again.ipynb"\nparameters = { x = 2 }\n')
    assert project.build() == ["again"]
    assert project.shown("again.ipynb") == "2\n"
    sources = ["".join(cell["source"]) for cell in project.built("again.ipynb")["cells"]]
    assert sources == [
        LOG.format(name="again"),
        "x = 0",
        "Between.",
        "# Parameters\nx = 2",
        "print(x)",
    ]


def test_named_entries_are_tasks_of_their_own_and_take_what_the_general_ones_say(project):
    project.notebook(
        "sub/model.ipynb", code("c = ''", tags=["parameters"]), "open(f'{c}.txt', 'w').write(c + s)"
    )
    project.config("""
        [[notebook]]
        path = "sub/model.ipynb"
        name = "model-uk"
        parameters = { c = "UK" }
        artefacts = ["sub/{c}.txt"]

        [[notebook]]
        path = "sub/model.ipynb"
        name = "model-fr"
        parameters = { c = "FR" }
        artefacts = ["sub/{c}.txt"]
        groups = ["french"]

        [[notebook]]
        path = "sub/*.ipynb"
        parameters = { s = "!", c = "never" }
        groups = ["all"]
    """)
    named = {
        name: (one["source"], one["built"], one["artefacts"], one["parameters"], one["groups"])
        for name, one in tasks(project).items()
    }
    assert named == {
        "model-uk": (
            "sub/model.ipynb",
            "_build/executed/sub/model-uk.ipynb",
            ["sub/UK.txt"],
            {"s": "!", "c": "UK"},
            ["all"],
        ),
        "model-fr": (
            "sub/model.ipynb",
            "_build/executed/sub/model-fr.ipynb",
            ["sub/FR.txt"],
            {"s": "!", "c": "FR"},
            ["all", "french"],
        ),
    }
    assert project.build("model-fr") == ["sub/model"]
    assert project.read("sub/FR.txt") == "FR!"
    assert not project.exists("sub/UK.txt")
    assert project.verdicts("sub/model.ipynb") == {"model-uk": "run", "model-fr": "fresh"}
    assert project.build("french") == []


MATRIX = """[[notebook]]
path = "by.ipynb"
parameters = { year = 2024, country = "none" }
matrix = { country = ["UK", "%s"] }
artefacts = ["out/{country}-{year}.txt"]
"""


def test_a_matrix_is_a_task_a_value_that_run_at_once_and_rerun_alone(project):
    project.notebook(
        "by.ipynb",
        code("country, year = '', 0", tags=["parameters"]),
        TOGETHER,
        "open(f'out/{country}-{year}.txt', 'w').write(country)",
    )
    project.config(MATRIX % "FR" + "trace = false  # that they wait for each other would count\n")
    assert {name: one["built"] for name, one in tasks(project).items()} == {
        "by-country-UK": "_build/executed/by-country-UK.ipynb",
        "by-country-FR": "_build/executed/by-country-FR.ipynb",
    }
    assert project.build("-j2") == ["by", "by"]
    made = {path: text for path, text in project.files().items() if path.startswith("out/")}
    assert made == {"out/UK-2024.txt": b"UK", "out/FR-2024.txt": b"FR"}

    project.config(MATRIX % "DE" + "trace = false\n")
    assert project.verdicts() == {"by-country-UK": "fresh", "by-country-DE": "run"}
    assert project.build() == ["by"]
    assert project.read("out/DE-2024.txt") == "DE"
    # An artefact's path is a target too.
    assert project.build("out/UK-2024.txt") == []


def test_names_of_a_matrix_are_safe_for_files_and_makefiles(project):
    project.notebook("p.ipynb", "open(f'{v}.txt', 'w').close()")
    project.config("""
        [[notebook]]
        path = "p.ipynb"
        name = "n"
        parameters = { a = 1 }
        matrix = { v = ["a b", "x=1*", "é[1]", "../up", "q: $(x)"], on = [true, 0.5] }
        artefacts = ["{v}.txt"]
    """)
    done = project.nbbuild("list", "--json")
    assert done.status == 2
    assert "artefact" in done.err

    project.config("""
        [[notebook]]
        path = "p.ipynb"
        name = "n"
        parameters = { a = 1 }
        matrix = { v = ["a b", "x=1*", "é[1]"] }
        artefacts = ["{v}.txt"]

        [[notebook]]
        path = "p.ipynb"
        matrix = { v = ["../up", "q: $(x)"], on = [true, 0.5] }
    """)
    assert list(tasks(project)) == [
        "n-v-a_b",
        "n-v-x_1_",
        "n-v-é_1_",
        "p-v-.._up-on-True",
        "p-v-.._up-on-0.5",
        "p-v-q_x_-on-True",
        "p-v-q_x_-on-0.5",
    ]
    # In the artefact's path the value stands as it is, and its brackets are no wildcards.
    assert project.build("n-v-é_1_") == ["p"]
    assert project.exists("é[1].txt")
    assert project.verdicts("n-v-é_1_") == {"n-v-é_1_": "fresh"}


def test_two_values_that_give_one_name_are_an_error_before_anything_runs(project):
    project.notebook("p.ipynb")
    project.config('[[notebook]]\npath = "p.ipynb"\nmatrix = { v = ["a b", "a_b"] }\n')
    done = project.nbbuild()
    assert (done.status, done.ran) == (2, [])
    assert done.err == (
        "error: two tasks of 'p.ipynb' are both named 'p-v-a_b'\n"
        "  declared in: jcache.toml, [[notebook]] 1\n"
        "  and in: jcache.toml, [[notebook]] 1\n"
        "\n"
        "hint: give one of them another `name`, or leave it out with [project] exclude\n"
    )
    assert not project.exists("_build")


def test_parameters_need_no_language_in_the_notebook(project):
    project.config('[[notebook]]\npath = "*.ipynb"\nparameters = { year = 2024 }\n')
    bare = json.loads(ipynb(["print(year)"]))
    bare["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    project.write("of-kernel.ipynb", json.dumps(bare))
    bare["metadata"] = {}
    project.write("of-nothing.ipynb", json.dumps(bare))
    assert project.nbbuild().status == 0
    assert project.shown("of-kernel.ipynb") == "2024\n"
    assert project.shown("of-nothing.ipynb") == "2024\n"


TYPO = "the parameter 'yaer' has no effect: no cell of 'p.ipynb' uses it; did you mean 'year'?"


def test_a_parameter_without_effect_is_said_once_a_notebook_and_in_each_build(project):
    project.notebook("p.ipynb", code("year = 2000", tags=["parameters"]), "print(year)")
    project.config('[[notebook]]\npath = "p.ipynb"\nmatrix = { yaer = [1, 2] }\n')
    for summary in ("executed", "nothing to do"):
        done = project.nbbuild()
        assert done.err.count("has no effect") == 1
        assert f"note: p-yaer-1: {TYPO}\n" in done.err
        assert summary in done.err
    assert project.nbbuild("status").err == f"note: p-yaer-1: {TYPO}\n2 fresh\n"
    assert project.nbbuild("explain", "p-yaer-1").err == f"note: p-yaer-1: {TYPO}\n"
    report = project.nbbuild("--json").data
    assert [one["notes"] for one in report["outcomes"]] == [[TYPO], []]

    project.config('[[notebook]]\npath = "p.ipynb"\nmatrix = { year = [1, 2] }\n')
    assert "note:" not in project.nbbuild().err


def test_advice_on_a_parameter_that_is_set_again_works(project):
    project.config('[[notebook]]\npath = "p.ipynb"\nparameters = { year = 2024 }\n')
    project.notebook("p.ipynb", "year = 2000", "print(year)")
    assert (
        "note: p.ipynb: the parameter 'year' has no effect: cell 2 of 'p.ipynb' sets it again; "
        "tag that cell 'parameters', and the parameter comes after it\n"
    ) in project.nbbuild().err
    assert project.shown("p.ipynb") == "2000\n"
    project.notebook("p.ipynb", code("year = 2000", tags=["parameters"]), "print(year)")
    assert "note:" not in project.nbbuild().err
    assert project.shown("p.ipynb") == "2024\n"
