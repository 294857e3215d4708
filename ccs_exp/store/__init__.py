"""Results that outlive a run, each a whole file under a readable key of all that it depends on, shared by jobs side by side."""

from __future__ import annotations

from ccs_exp.store.entries import Members, cache_dir, read_entries, read_entry, write_entry
from ccs_exp.store.stages import Stages, kept, locked
from ccs_exp.store.states import file_sha256, files_state, folder_state
from ccs_exp.store.tensors import as_bytes, kept_tensor, pack_tensors, unpack_tensors

__all__ = [
    "Members",
    "Stages",
    "as_bytes",
    "cache_dir",
    "file_sha256",
    "files_state",
    "folder_state",
    "kept",
    "kept_tensor",
    "locked",
    "pack_tensors",
    "read_entries",
    "read_entry",
    "unpack_tensors",
    "write_entry",
]
