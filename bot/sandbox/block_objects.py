"""Block Kit's composition objects: text, option, confirmation and their relatives. Used by elements and blocks.

Limits: docs.slack.dev/reference/block-kit/composition-objects
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.sandbox.shapes import (
    Check,
    always,
    array,
    boolean,
    by_type,
    choice,
    exactly_one_of,
    reason,
    record,
    string,
    url,
)

ACTION_ID = string(1, 255)
BLOCK_ID = string(1, 255)
USER_ID = string(pattern=r"[UW][A-Z0-9]+")
CHANNEL_ID = string(pattern=r"[CG][A-Z0-9]+")


def plain_text(max_length: int = 3000) -> Check:
    """A plain_text object."""
    return record({"type": always("plain_text"), "text": string(1, max_length)}, {"emoji": boolean})


def mrkdwn(max_length: int = 3000) -> Check:
    """A mrkdwn object."""
    return record({"type": always("mrkdwn"), "text": string(1, max_length)}, {"verbatim": boolean})


def text(max_length: int = 3000) -> Check:
    """Either kind of text object."""
    return by_type({"plain_text": plain_text(max_length), "mrkdwn": mrkdwn(max_length)}, "text")


PLACEHOLDER = plain_text(150)
STYLE = choice(["primary", "danger"])
CONFIRM = record(
    {"title": plain_text(100), "text": text(300), "confirm": plain_text(30), "deny": plain_text(30)}, {"style": STYLE}
)
OPTION = record({"text": plain_text(75), "value": string(1, 150)}, {"description": plain_text(75)})
OVERFLOW_OPTION = record({"text": plain_text(75), "value": string(1, 150)}, {"description": plain_text(75), "url": url(3000)})
RICH_OPTION = record({"text": text(75), "value": string(1, 150)}, {"description": text(75)})
OPTION_GROUP = record({"label": plain_text(75), "options": array(OPTION, 1, 100)})
DISPATCH_CONFIG = record({"trigger_actions_on": array(choice(["on_enter_pressed", "on_character_entered"]), 1, 2, unique=True)})
CONVERSATION_FILTER = record(
    {},
    {
        "include": array(choice(["im", "mpim", "private", "public"]), 1, unique=True),
        "exclude_external_shared_channels": boolean,
        "exclude_bot_users": boolean,
    },
    min_fields=1,
)
SLACK_FILE = record({}, {"url": url(), "id": string(1)}, exactly_one_of("url", "id"))


def offered_options(element: dict[str, Any]) -> list[Any]:
    """The options of a select, of its groups, of checkboxes or radio buttons."""
    groups = element.get("option_groups") or []
    return [*(element.get("options") or []), *(option for group in groups for option in group["options"])]


def initial_is_offered(value: Any, at: str) -> Iterator[str]:
    """A rule for elements with options: what is chosen at first must be one of them, exactly."""
    offered = offered_options(value)
    chosen = list(value.get("initial_options") or [])
    if "initial_option" in value:
        chosen.append(value["initial_option"])
    if any(option not in offered for option in chosen):
        yield reason("the initial option is not one of the options", at)


def option_values_differ(value: Any, at: str) -> Iterator[str]:
    """A rule for elements with options: two options of one value could not be told apart."""
    values = [option["value"] for option in offered_options(value)]
    if len(set(values)) < len(values):
        yield reason("option values must be unique", at)
