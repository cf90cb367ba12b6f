"""What goes to a worker and what comes back, as bytes: an order and its answer.

They are MessagePack, never pickles: some of them are read from files. Both ends must be the same
version of nbbuild, so nothing here is kept compatible with anything.

An order can be carried out *in place* if the worker sees the project: the file `mark`, whose name
nobody can guess, is there. Otherwise it is *staged*: `inputs` names the blobs that a sandbox is
filled with, and what the run makes comes back as blobs. They go through the store, or, for a
worker that does not see the store, beside the order and the answer. The worker says what it lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from nbbuild.building.attempts.actions import Action
from nbbuild.building.attempts.protocol import Attempted
from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.interpreter.environment import Grounds
from nbbuild.model import ArtefactFile, Digest
from nbbuild.notebook import merge
from nbbuild.notebook.merge import ExecutedCell, ExecutedCells, executed_cells
from nbbuild.notebook.read import from_own
from nbbuild.version import __version__

INPUTS = "inputs"
"""What an answer `lacks` if the worker does not see the project, and the order has no inputs."""

BLOBS = "blobs"
"""What it lacks if the worker does not see the store either."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt to be executed by a worker."""

    version: str = __version__
    action: Action
    artefacts: tuple[str, ...]  # patterns
    mark: str  # a file that is in the project for as long as the attempt is wanted
    outlives: bool = False  # False: the mark is also locked for as long
    probe: str = ""  # a digest of what the kernel's interpreter must have
    grounds: Grounds | None = None  # where they hold, it has that, and need not be asked
    store: str = ""  # the folder of the store
    inputs: tuple[ArtefactFile, ...] | None = None  # what a sandbox holds; None: not said yet
    blobs: dict[Digest, bytes] = {}  # of the inputs, for a worker that does not see the store


class InSandbox(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run in a sandbox once the sandbox is gone."""

    above: str  # where it was
    files: tuple[str, ...]  # what it held at the end, relative to that
    made: tuple[ArtefactFile, ...] = ()  # the artefacts that the run wrote
    blobs: dict[Digest, bytes] = {}  # theirs, from a worker that does not see the store


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order."""

    host: str
    lacks: str = ""  # INPUTS or BLOBS: nothing was executed
    attempted: Attempted | None = None  # without its cells
    cells: bytes = b""
    sandbox: InSandbox | None = None


_ORDER: Shape[Order] = Shape(Order)
_ANSWER: Shape[Answer] = Shape(Answer)

_NO_CELLS = ExecutedCells(())


class BadOrder(ValueError):
    """These bytes are no order, or not one for this version of nbbuild."""


def encode_order(order: Order) -> bytes:
    """Return `order` as bytes that begin with its version."""
    return order.version.encode() + b"\n" + packed(order)


def decode_order(data: bytes) -> Order:
    """Return an order; raise `BadOrder`."""
    version, _, rest = data.partition(b"\n")
    if version != __version__.encode():
        theirs = version[:40].decode("utf-8", "replace")
        raise BadOrder(f"the build is nbbuild {theirs}, and this worker is nbbuild {__version__}")
    try:
        return _ORDER.unpack(rest)
    except Misshapen as error:
        raise BadOrder(f"this is no order of nbbuild: {error}") from error


def encode_answer(answer: Answer, attempted: Attempted | None = None) -> bytes:
    """Return `answer` as bytes, with what became of the attempt."""
    if attempted is not None:
        # Cells may hold what MessagePack cannot, such as integers of any size.
        answer = msgspec.structs.replace(
            answer,
            attempted=replace(attempted, cells=_NO_CELLS),
            cells=merge.encode(attempted.cells),
        )
    return packed(answer)


def decode_answer(data: bytes) -> Answer:
    """Return an answer, its cells in place; raise `ValueError` for anything else."""
    answer = _ANSWER.unpack(data)
    if answer.attempted is None:
        return answer
    cells = merge.decode(answer.cells)
    return msgspec.structs.replace(answer, attempted=replace(answer.attempted, cells=cells))


def without_outputs(notebook: bytes) -> ExecutedCells:
    """Return the cells of a notebook of which nothing has run."""
    cells: Sequence[ExecutedCell] = executed_cells(from_own(notebook)).cells
    return ExecutedCells(tuple(ExecutedCell(source=cell.source) for cell in cells))
