"""The store: blobs by their digest, records by their action key (DESIGN §6).

Blobs are written before the record that names them, each to a temporary file that is synced and
renamed. Everything is checked when it is read; anything damaged is a miss. Nothing outside this
package touches the files; `layout` draws them.
"""

from nbbuild.store.checking import Checked, Fault
from nbbuild.store.disk import DiskStore
from nbbuild.store.earlier import Earlier
from nbbuild.store.memory import MemoryStore
from nbbuild.store.protocol import Store
from nbbuild.store.pruning import Kept, Limits, Pruned

__all__ = [
    "Checked",
    "DiskStore",
    "Earlier",
    "Fault",
    "Kept",
    "Limits",
    "MemoryStore",
    "Pruned",
    "Store",
]
