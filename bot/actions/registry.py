"""The table of all actions: `bot.app`, the linter and the terminal load it once; runbooks name actions by its keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from bot.actions.application import application_actions
from bot.actions.bypass import bypass_actions
from bot.actions.clerk import clerk_actions
from bot.actions.clerk_bulk import bulk_actions
from bot.actions.email import email_actions
from bot.actions.http import http_actions
from bot.actions.logs import log_actions
from bot.actions.spec import ActionSpec
from bot.actions.statuspage import statuspage_actions
from bot.actions.vercel import vercel_actions
from bot.domain.errors import ConfigError


def load_actions() -> Mapping[str, ActionSpec]:
    """Every action of this version by name. Raises: ConfigError when two share a name."""
    return table_of(
        (
            *application_actions(),
            *clerk_actions(),
            *bulk_actions(),
            *email_actions(),
            *http_actions(),
            *log_actions(),
            *statuspage_actions(),
            *vercel_actions(),
            *bypass_actions(),
        )
    )


def table_of(specs: Iterable[ActionSpec]) -> Mapping[str, ActionSpec]:
    """``specs`` by name, read-only. Raises: ConfigError for a name that comes twice, and an undo that is no action."""
    table: dict[str, ActionSpec] = {}
    for spec in specs:
        if spec.name in table:
            raise ConfigError(f"action {spec.name} is registered twice; rename one of them")
        table[spec.name] = spec
    for spec in table.values():
        if spec.undo and spec.undo not in table:
            raise ConfigError(f"action {spec.name}: its undo {spec.undo} is no action; correct the name")
    return MappingProxyType(table)
