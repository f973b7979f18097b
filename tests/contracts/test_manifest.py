"""The manifest asks for everything that Muster uses, and for nothing that it does not."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, FormatChecker

from bot.slack.blocks import ids
from bot.slack.client import READS
from bot.slack.listeners.bolt import COMMANDS, SHORTCUTS
from bot.slack.listeners.events import HANDLED
from tests.conftest import ROOT
from tests.scenarios.conftest import Stage

MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
SLACK = ROOT / "bot" / "slack"

SCOPES_OF_METHODS: dict[str, set[str]] = {
    "apps.connections.open": set(),  # Socket Mode: by the app-level token, which has a scope of its own
    "auth.test": set(),
    "bookmarks.add": {"bookmarks:write"},
    "bookmarks.list": {"bookmarks:read"},
    "bots.info": {"users:read"},
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "conversations.archive": {"channels:manage", "groups:write"},
    "conversations.create": {"channels:manage", "groups:write"},
    "conversations.history": {"channels:history", "groups:history", "im:history"},
    "conversations.invite": {"channels:manage", "groups:write"},
    "conversations.list": {"channels:read", "groups:read"},
    "conversations.members": {"channels:read", "groups:read"},
    "conversations.open": {"im:write"},
    "conversations.replies": {"channels:history", "groups:history"},
    "conversations.setTopic": {"channels:manage", "groups:write"},
    "files.completeUploadExternal": {"files:write"},
    "files.getUploadURLExternal": {"files:write"},
    "usergroups.list": {"usergroups:read"},
    "usergroups.users.list": {"usergroups:read"},
    "users.info": {"users:read"},
    "users.list": {"users:read"},
    "users.lookupByEmail": {"users:read.email"},
    "views.open": set(),
    "views.update": set(),
}
"""Method → the bot scopes for what Muster does with it (docs.slack.dev/reference/methods/<name>): in public and private
channels, in direct messages where it pages."""

SCOPES_OF_EVENTS: dict[str, set[str]] = {
    "app_mention": {"app_mentions:read"},
    "member_joined_channel": {"channels:read", "groups:read"},
    "member_left_channel": {"channels:read", "groups:read"},
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
}
"""docs.slack.dev/reference/events/<name>."""


def methods_used() -> set[str]:
    """Every Web API method that bot/slack calls: ``….call("name")`` and ``.each``, or a variable ``method`` passed to them."""
    return {
        name for path in SLACK.rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8"))) for name in _named(node)
    }


def _named(node: ast.AST) -> Iterator[str]:
    """The method that a call or an assignment names."""
    value: ast.AST | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("call", "each") and node.args:
        value = node.args[0]
    if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "method" for target in node.targets):
        value = node.value
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value


@pytest.mark.contracts
@pytest.mark.parametrize("version", ["1", "2"])
def test_the_manifest_is_one(contracts: Path, version: str) -> None:
    """Slack's own schema takes it."""
    schema = json.loads((contracts / f"slack-manifest.schema.{version}.json").read_text("utf-8"))
    errors = Draft7Validator(schema, format_checker=FormatChecker()).iter_errors(MANIFEST)
    assert [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in errors] == []


def test_the_table_of_scopes_knows_the_methods_that_are_used() -> None:
    """A new method needs its scopes written down here first."""
    assert methods_used() == set(SCOPES_OF_METHODS)


def test_every_scope_is_used_and_none_is_missing() -> None:
    """Least privilege, and no missing_scope at three in the morning."""
    wanted = set().union(*SCOPES_OF_METHODS.values(), *SCOPES_OF_EVENTS.values(), {"commands"})
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == wanted
    assert "user" not in MANIFEST["oauth_config"]["scopes"]


def test_the_events_are_those_that_are_handled() -> None:
    """Nothing is sent to us that nobody wants, nothing is waited for that never comes."""
    subscribed = MANIFEST["settings"]["event_subscriptions"]["bot_events"]
    assert set(subscribed) == set(SCOPES_OF_EVENTS)
    assert {name.partition(".")[0] for name in subscribed} == set(HANDLED)
    assert len(subscribed) == len(set(subscribed))


def test_the_commands_are_those_that_are_registered() -> None:
    """Each slash command has its function, and people and channels in them come as ids."""
    commands = MANIFEST["features"]["slash_commands"]
    assert {item["command"] for item in commands} == set(COMMANDS)
    assert all(item["should_escape"] for item in commands)


def test_the_shortcuts_are_those_that_are_registered() -> None:
    """One on a message, one from anywhere."""
    kinds = {item["callback_id"]: item["type"] for item in MANIFEST["features"]["shortcuts"]}
    assert set(kinds) == set(SHORTCUTS)
    assert kinds == {ids.SHORTCUT_DECLARE: "global", ids.SHORTCUT_DECLARE_MESSAGE: "message"}


def test_all_addresses_are_the_one_endpoint() -> None:
    """Everything that Slack sends comes to /slack/events."""
    settings = MANIFEST["settings"]
    urls = {settings["event_subscriptions"]["request_url"], settings["interactivity"]["request_url"]}
    urls.update(item["url"] for item in MANIFEST["features"]["slash_commands"])
    assert len(urls) == 1
    assert urls.pop().endswith("/slack/events")


def test_only_methods_that_read_are_called_reads() -> None:
    """Reads are simply asked again; a write in that table would happen twice."""
    changing = re.compile(r"\.(?:add|archive|close|create|delete|invite|join|kick|leave|open|postMessage|rename|set\w+|update)$")
    assert [name for name in READS if changing.search(name)] == []


async def test_a_whole_incident_calls_no_other_method(stage: Stage) -> None:
    """What is really called is what the table says, and no call misses a scope."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    await stage.sees(room.name, "Clerk status page: *ok*")
    await stage.wait(lambda: stage.workspace.dm("oncall"), "the page of on-call")
    called = {call.method for call in stage.sandbox.calls} - {"response_url"}
    assert called <= set(SCOPES_OF_METHODS)
    assert [call.method for call in stage.sandbox.calls if call.error] == []
