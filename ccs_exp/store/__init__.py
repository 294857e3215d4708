"""Results that outlive a run, each a whole file under a readable key of all that it depends on, shared by jobs side by side.

In: a key, a function that computes, and how its value is packed. Out: the value, computed once however many jobs ask. `entries` are the
files, `stages` the computing, `members` what is in a file, `states` and `code` the parts of a key that say of which files and of which
code a result is; `command` is ``ccs-exp store``. Imports files; what a stage's key and value are is the stage's own.
"""

from __future__ import annotations

from ccs_exp.store.code import code_of
from ccs_exp.store.entries import (
    Entry,
    Members,
    cache_dir,
    key_digest,
    mapped_entry,
    read_entries,
    read_entry,
    unpacked,
    write_entry,
)
from ccs_exp.store.members import as_bytes, json_as, kept_tensor, pack_tensors, unpack_tensors
from ccs_exp.store.stages import Stages, kept, locked
from ccs_exp.store.states import file_sha256, files_state, folder_state

__all__ = [
    "Entry",
    "Members",
    "Stages",
    "as_bytes",
    "cache_dir",
    "code_of",
    "file_sha256",
    "files_state",
    "folder_state",
    "json_as",
    "kept",
    "kept_tensor",
    "key_digest",
    "locked",
    "mapped_entry",
    "pack_tensors",
    "read_entries",
    "read_entry",
    "unpack_tensors",
    "unpacked",
    "write_entry",
]
