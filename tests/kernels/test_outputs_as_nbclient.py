"""Outputs, display ids and `clear_output` come to what nbclient makes of the same messages."""

import random

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from nbbuild.kernels.outputs import Assembler


def message(kind, **content):
    header = {"msg_type": kind, "msg_id": "m"}
    parent = {"msg_id": "request"}
    return {"header": header, "msg_type": kind, "parent_header": parent, "content": content}


def anything(chance):
    """Return a message that shows, updates, or clears something."""
    kind = chance.choice(
        ["display_data", "display_data", "execute_result", "update_display_data", "error", "clear"]
    )
    if kind == "clear":
        return message("clear_output", wait=chance.random() < 0.5)
    if kind == "error":
        return message("error", ename="E", evalue=str(chance.random()), traceback=["…"])
    name = chance.choice([None, "a", "b"])
    content = {"data": {"text/plain": str(chance.random())}, "metadata": {"n": chance.random()}}
    content["transient"] = chance.choice([{}, None]) if name is None else {"display_id": name}
    if kind == "execute_result":
        content["execution_count"] = chance.randrange(9)
    return message(kind, **content)


@pytest.mark.parametrize("seed", range(50))
def test_the_same_messages_make_the_same_outputs(seed):
    def fresh():
        return new_notebook(cells=[new_code_cell(id=f"cell-{number}") for number in range(3)])

    ours, theirs = fresh(), fresh()
    assembler = Assembler(ours, session=None)
    client = NotebookClient(theirs, record_timing=False)
    for index in range(3):
        client.clear_before_next_output = False
        for number in range(20):
            assembler.take(anything(random.Random(f"{seed} {index} {number}")), index)
            one = anything(random.Random(f"{seed} {index} {number}"))
            client.process_message(one, theirs.cells[index], index)
        assembler.take(message("execute_input", execution_count=index), index)
        client.process_message(
            message("execute_input", execution_count=index), theirs.cells[index], index
        )
    assembler.finish(range(3))
    assert ours == theirs
    assert any(cell.outputs for cell in ours.cells)


@pytest.mark.parametrize(
    ("comm_id", "state"), [(7, {}), ("a", [[1, 2]]), ("a", [["_model_module", "m"], [1, 2]])]
)
def test_a_widget_that_no_notebook_can_hold_is_refused(comm_id, state):
    assembler = Assembler(new_notebook(cells=[new_code_cell(id="a")]), session=None)
    with pytest.raises(TypeError, match="the id of a comm is no text, or its state is no object"):
        assembler.take(message("comm_open", comm_id=comm_id, data={"state": state}), 0)
