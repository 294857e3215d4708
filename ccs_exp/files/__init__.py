"""Files in and out, for every room above; imports errors alone.

In: what people write (`read`), and folders of theirs (`walk`): text in UTF-8, tables, JSON, YAML, refused with file and line where it
is not as it should be. Out: whole files (`whole`), the same bytes for the same content. `likeness` knows names that look the same;
`hub` fetches what lies on the Hugging Face hub, and is not imported here, because its clients take a second.
"""

from __future__ import annotations

from ccs_exp.files.cells import CONTROL, from_cell, to_cell
from ccs_exp.files.likeness import likeness, look_alikes, some
from ccs_exp.files.objects import parse_json, read_entries, read_json, read_yaml
from ccs_exp.files.tables import Row, header_of, read_csv, table_rows, typed_table
from ccs_exp.files.text import decoded, read_lines, read_text
from ccs_exp.files.walk import Tree, walk
from ccs_exp.files.whole import (
    ASSETS,
    DECIMALS,
    abandoned_parts,
    aside_of,
    check_columns,
    clean,
    csv_bytes,
    rounded,
    write_whole,
)
