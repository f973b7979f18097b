"""The Web API methods, one file per family: each judges the arguments as Slack does and changes the state.

Every file has a table ``METHODS``; ``all_methods`` puts them together for ``web_api``. What is common to all methods
(tokens, scopes, limits, faults) is there, not here.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.sandbox.methods import (
    apps,
    bookmarks,
    chat,
    conversations,
    files,
    members,
    pins,
    reactions,
    team,
    usergroups,
    users,
    views,
)
from bot.sandbox.methods.base import Method


def all_methods() -> Mapping[str, Method]:
    """Every method that the stand-in has, by name. Raises ValueError when two files define the same one."""
    methods: dict[str, Method] = {}
    for family in (apps, bookmarks, chat, conversations, files, members, pins, reactions, team, usergroups, users, views):
        for name, method in family.METHODS.items():
            if name in methods:
                raise ValueError(f"The Web API method {name} is defined twice")
            methods[name] = method
    return methods
