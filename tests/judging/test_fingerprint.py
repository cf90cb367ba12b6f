"""Every ingredient of an action key changes it, and every field is either hashed or excused."""

import dataclasses
import datetime
from types import MappingProxyType

import msgspec
import pytest

from nbbuild.interpreter.environment import Probe
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.judging.fingerprint import EXCUSED, Used, action_key, typed
from nbbuild.judging.reasons import compare
from nbbuild.model import CodeCell, Parsed, Settings, Task
from nbbuild.notebook.code import places

TASK = Task(name="a.ipynb", source="docs/a.ipynb", built="out/docs/a.ipynb")
PARSED = Parsed(kernel="python3", language="python", cells=(CodeCell(0, "x = 1"),))
SETTINGS = Settings(
    kernel="",
    timeout=600,
    notebook_timeout=0,
    allow_errors=False,
    retries=0,
    sandbox=False,
    cwd="notebook",
    trace=True,
    warm="kernel",
    cores=0,
)
KERNEL = Kernel(
    name="python3",
    argv=("/usr/bin/python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"),
    language="python",
)
PROBE = Probe(
    python="3.11.7",
    implementation="CPython",
    ipykernel="7.4.0",
    ipython="9.18.1",
    distributions={"numpy": "2.0"},
    path=("/lib",),
)
USED = Used()


def key(task=TASK, parsed=PARSED, settings=SETTINGS, kernel=KERNEL, probe=PROBE, **more):
    more = {"used": USED, **more}
    return action_key(task, parsed=parsed, settings=settings, kernel=kernel, probe=probe, **more)


TASK_CHANGES = {
    "source": "other/a.ipynb",
    "assets": ("x.csv",),
    "modules": ("m",),
    "packages": ("numpy",),
    "env": ("HOME",),
    "files": ("lock",),
    "commands": ("R --version",),
    "artefacts": ("out.csv",),
    "parameters": {"n": 1},
    "python_path": ("src",),
}
"""A change of each field of a task that counts by itself, or by what it comes to (`USED_BY`)."""

USED_BY = ("assets", "modules", "packages", "env", "files", "commands")
"""Fields that count by what they come to on this machine: `Used` has a field for each."""

SETTINGS_CHANGES = {
    "kernel": None,  # counts as the kernel in effect
    "allow_errors": True,
    "sandbox": True,
    "cwd": "project",
}


def test_every_field_of_a_task_is_hashed_or_excused():
    for field in dataclasses.fields(Task):
        if field.name == "settings":  # its fields are held to the same below
            continue
        name = f"Task.{field.name}"
        if field.name not in TASK_CHANGES:
            assert name in EXCUSED, f"{name} is in no key, and nothing says why"
        elif field.name in USED_BY:
            assert key(used=Used(**{field.name: {"item": "value"}})) != key(), name
        else:
            changed = dataclasses.replace(TASK, **{field.name: TASK_CHANGES[field.name]})
            assert key(task=changed).digest != key().digest, name


def test_every_field_of_the_settings_is_hashed_or_excused():
    for field in dataclasses.fields(Settings):
        name = f"Settings.{field.name}"
        if field.name not in SETTINGS_CHANGES:
            assert name in EXCUSED, f"{name} is in no key, and nothing says why"
        elif field.name != "kernel":
            changed = dataclasses.replace(SETTINGS, **{field.name: SETTINGS_CHANGES[field.name]})
            assert key(settings=changed).digest != key().digest, name


def test_every_field_of_a_parsed_notebook_is_hashed_or_excused():
    cells = {
        "index": None,  # prose between the cells is no code
        "source": "x = 2",
        "tags": ("raises-exception",),
        "load": None,  # the loaded file's text is the source
    }
    assert set(cells) == set(CodeCell.__struct_fields__)
    for field in Parsed.__struct_fields__:
        assert field == "cells" or f"Parsed.{field}" in EXCUSED, field
    for field, value in cells.items():
        changed = msgspec.structs.replace(
            PARSED.cells[0], **{field: value or PARSED.cells[0].index}
        )
        same = key(parsed=msgspec.structs.replace(PARSED, cells=(changed,))).digest == key().digest
        assert same == (value is None), field


def test_an_excuse_names_a_field_that_exists_and_does_not_count():
    fields = {f"Task.{f.name}" for f in dataclasses.fields(Task)}
    fields |= {f"Settings.{f.name}" for f in dataclasses.fields(Settings)}
    fields |= {f"Parsed.{name}" for name in Parsed.__struct_fields__}

    assert set(EXCUSED) <= fields
    assert not {f"Task.{name}" for name in TASK_CHANGES} & set(EXCUSED) - {"Task.source"}


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Used)])
def test_every_class_of_inputs_counts_by_name_and_by_value(field):
    keys = {
        key(used=Used(**{field: value})).digest
        for value in ({}, {"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": "1"})
    }

    assert len(keys) == 5


@pytest.mark.parametrize(
    "kernel",
    [
        dataclasses.replace(KERNEL, argv=(*KERNEL.argv, "--matplotlib=inline")),
        dataclasses.replace(KERNEL, env={"A": "1"}),
        dataclasses.replace(KERNEL, language="R"),
    ],
)
def test_what_the_kernel_runs_counts(kernel):
    assert key(kernel=kernel).digest != key().digest


@pytest.mark.parametrize(
    "kernel",
    [
        dataclasses.replace(KERNEL, name="other", display_name="Other", folder="/elsewhere"),
        dataclasses.replace(KERNEL, argv=("/venv/bin/python", *KERNEL.argv[1:])),
        dataclasses.replace(KERNEL, interrupt_mode="message"),
    ],
)
def test_a_kernels_name_and_place_do_not_count(kernel):
    assert key(kernel=kernel).digest == key().digest


@pytest.mark.parametrize("field", ["python", "implementation", "ipykernel", "ipython", "abi"])
def test_the_versions_of_the_interpreter_count(field):
    assert key(probe=msgspec.structs.replace(PROBE, **{field: "9"})).digest != key().digest


@pytest.mark.parametrize("patch", [False, True])
@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ({"python": "3.11.9"}, False),
        ({"python": "3.11.7rc1"}, False),
        ({"python": "3.12.7"}, True),
        ({"python": "3.1.7"}, True),
        ({"abi": "t"}, True),
        ({"implementation": "PyPy"}, True),
    ],
)
def test_the_patch_level_of_python_counts_when_it_is_asked_for(other, counts, patch):
    then = key(patch=patch)
    now = key(probe=msgspec.structs.replace(PROBE, **other), patch=patch)

    assert (now.digest != then.digest) is (counts or patch)


def test_a_pythons_name_shows_what_counts():
    free = msgspec.structs.replace(PROBE, python="3.13.0", abi="t")

    assert (free.version, free.minor_version) == ("CPython 3.13.0t", "CPython 3.13t")


def test_what_else_is_installed_does_not_count():
    probe = msgspec.structs.replace(PROBE, distributions={"pandas": "3"}, path=("/x",))

    assert key(probe=probe).digest == key().digest


def test_cells_are_framed_so_that_no_two_lists_of_cells_are_alike():
    def of(*sources):
        cells = tuple(CodeCell(n, source) for n, source in enumerate(sources))
        return key(parsed=msgspec.structs.replace(PARSED, cells=cells)).digest

    assert len({of("a", "b"), of("ab"), of("b", "a"), of("a\nb"), of("a", "a", "b")}) == 5
    assert of("a", " \n", "b") == of("a", "b")


def test_parameters_of_other_types_are_other_parameters():
    moment = datetime.datetime(2026, 1, 1)
    values = [
        1,
        1.0,
        True,
        "1",
        [1],
        {"a": 1},
        moment,
        moment.date(),
        moment.isoformat(),
        moment.time(),
    ]

    assert len({typed(value) for value in values}) == len(values)


def test_the_order_of_parameters_does_not_count():
    one = dataclasses.replace(TASK, parameters=MappingProxyType({"a": 1, "b": 2}))
    other = dataclasses.replace(TASK, parameters={"b": 2, "a": 1})

    assert key(task=one) == key(task=other)


def sentences(old, new):
    return [str(reason) for reason in compare(old, new)]


def test_reasons_name_the_item_with_old_and_new_value():
    old = key(used=Used(assets={"a.csv": "1"}, packages={"numpy": "2.0"}, env={"SEED": "x"}))
    new = key(used=Used(assets={"b.csv": "1"}, packages={"numpy": "2.1"}, env={"SEED": "y"}))

    assert sentences(old, new) == [
        "asset 'a.csv' is gone",
        "asset 'b.csv' is new",
        "package 'numpy' changed: 2.0 → 2.1",
        "environment variable 'SEED' changed",
    ]


def test_reasons_name_the_cells_that_changed():
    def of(*sources):
        cells = tuple(CodeCell(n, source) for n, source in enumerate(sources))
        return key(parsed=msgspec.structs.replace(PARSED, cells=cells))

    assert sentences(of("a", "b", "c"), of("a", "B", "c")) == ["In [2] changed"]
    assert sentences(of("a", "b"), of("a", "x", "b")) == ["In [2] is new"]
    assert sentences(of("a", "b"), of("b")) == ["In [1] of the last run is gone"]
    assert sentences(of("a"), of("a")) == []


def test_cells_are_named_by_their_places_where_these_are_known():
    def of(*cells):
        return key(parsed=msgspec.structs.replace(PARSED, cells=cells))

    prose, off = 1, ("skip-execution",)
    old = CodeCell(0, "a"), CodeCell(prose + 1, "b", off), CodeCell(4, "c")
    new = CodeCell(0, "a"), CodeCell(prose + 1, "B", off), CodeCell(4, "C")
    where = places(Parsed(cells=new))
    assert where == ((1, 1), (3, None), (5, 2))
    found = compare(of(*old), of(*new), places=where)
    assert [str(one) for one in found] == ["cell 3 changed", "cell 5 (In [2]) changed"]
    assert [(one.position, one.execution_count) for one in found] == [(3, None), (5, 2)]
    gone = compare(of(*old), of(old[0]), places=where)
    assert [str(one) for one in gone] == [
        "a switched-off cell of the last run is gone",
        "In [2] of the last run is gone",
    ]


def test_the_cell_that_holds_the_parameters_is_counted():
    cells = CodeCell(1, "a"), CodeCell(2, "year = 1", ("parameters",)), CodeCell(4, "c")
    assert places(Parsed(cells=cells)) == ((2, 1), (3, 2), (5, 3))
    assert places(Parsed(cells=cells), injecting=True) == ((2, 1), (3, 2), (6, 4))
    bare = CodeCell(1, "a"), CodeCell(4, "c")
    assert places(Parsed(cells=bare), injecting=True) == ((3, 2), (6, 3))
    old = CodeCell(1, "a"), CodeCell(2, "year = 1", ("injected-parameters",))
    assert places(Parsed(cells=old), injecting=True) == ((2, 1), (3, 2))
