"""The one exception that reaches a user as a paragraph instead of a traceback."""

from __future__ import annotations


class CcsError(Exception):
    """Something the user can mend: the message says what was asked, what exists and what to type next."""
