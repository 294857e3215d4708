"""The Hugging Face hub: what a job wants of it, how much of that is missing here, fetching it, and errors that name the way out.

In: repositories and names of files. Out: folders in the hub's own cache. Whatever asks the hub goes through here, streams apart. Imports
errors and files.
"""

from __future__ import annotations

from ccs_exp.files.hub.reaching import reaching
from ccs_exp.files.hub.wanted import Missing, Wanted, commit_here, fetch, full_commit, missing, names_at, place
