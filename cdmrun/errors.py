"""The one exception a user may see: a message that names the place and the remedy, no traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave us is wrong, missing or damaged.

    The command line prints the message and exits with status 1; a traceback is kept for defects of ours.

    Parameters
    ----------
    message
        What is wrong and where (file, line, key, shape).
    remedy
        What to do about it, in the imperative.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message if not remedy else f"{message}\n  remedy: {remedy}")
        self.message = message
        self.remedy = remedy
