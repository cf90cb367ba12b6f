"""Modules of the project are compiled from source; bytecode is trusted by whole seconds."""

from __future__ import annotations

import os
import py_compile

import pytest

CODE = "import sys; sys.path.insert(0, ''); import fit; print(fit.VALUE, fit.__cached__)"


def test_two_edits_of_one_size_within_a_second_give_two_results(observe, folder, python):
    source = folder / "fit.py"
    for value in ("1", "2", "3"):
        source.write_text(f"VALUE = {value}\n")
        os.utime(source, (1_000_000_000, 1_000_000_000))
        seen = observe(CODE, python=python)
        assert seen.out.split()[0] == value
    assert "__pycache__" in seen.out
    assert not (folder / "__pycache__").exists()


def test_bytecode_that_lies_there_is_not_read(observe, folder):
    source = folder / "fit.py"
    source.write_text("VALUE = 1\n")
    os.utime(source, (1_000_000_000, 1_000_000_000))
    py_compile.compile(str(source))
    source.write_text("VALUE = 2\n")
    os.utime(source, (1_000_000_000, 1_000_000_000))
    assert observe(CODE).out.split()[0] == "2"


@pytest.mark.parametrize("error", ["1/0", "import os; os.stat('none')"])
def test_tracebacks_through_a_module_stay_as_they_are(observe, plainly, folder, error):
    (folder / "fit.py").write_text(f"def f():\n    {error}\nf()\n")
    code = "import sys; sys.path.insert(0, ''); import traceback\n"
    code += "try: import fit\nexcept Exception: print(traceback.format_exc())"
    assert observe(code).out == plainly(code).stdout
