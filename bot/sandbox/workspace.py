"""What the people of the workspace see and do: look, write, command, click, fill in forms, join and leave.

The tests call it directly and the page through ``control``. Each act is checked as Slack's client would (a button that is
not there cannot be clicked: UserError), changes the state, is delivered to the bot, and comes back as a ``Result``.
"""

from __future__ import annotations

from bot.sandbox.commands import Commands
from bot.sandbox.forms import Forms
from bot.sandbox.membership import Membership
from bot.sandbox.results import Result
from bot.sandbox.writing import Writing

__all__ = ["Result", "Workspace"]


class Workspace(Writing, Membership, Commands, Forms):
    """The people's side, in one object. Users are given by id or handle, channels by id or name."""
