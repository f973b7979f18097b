"""Block Kit's interactive elements and which block takes which. Used by ``block_types``.

Limits: docs.slack.dev/reference/block-kit/block-elements
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.sandbox.block_objects import (
    ACTION_ID,
    CHANNEL_ID,
    CONFIRM,
    CONVERSATION_FILTER,
    DISPATCH_CONFIG,
    OPTION,
    OPTION_GROUP,
    OVERFLOW_OPTION,
    PLACEHOLDER,
    RICH_OPTION,
    SLACK_FILE,
    STYLE,
    USER_ID,
    initial_is_offered,
    option_values_differ,
    plain_text,
)
from bot.sandbox.rich_text import RICH_TEXT_BLOCK
from bot.sandbox.shapes import Check, always, array, boolean, by_type, exactly_one_of, integer, record, string, url

_NUMBER = string(pattern=r"-?[0-9]+(\.[0-9]+)?")
_FOCUS: Mapping[str, Check] = {"focus_on_load": boolean}
_COMMON: Mapping[str, Check] = {"action_id": ACTION_ID, "confirm": CONFIRM, **_FOCUS}
_INPUT: Mapping[str, Check] = {
    "action_id": ACTION_ID,
    "dispatch_action_config": DISPATCH_CONFIG,
    "placeholder": PLACEHOLDER,
    **_FOCUS,
}
_SELECT: Mapping[str, Check] = {**_COMMON, "placeholder": PLACEHOLDER}
_MULTI: Mapping[str, Check] = {**_SELECT, "max_selected_items": integer(1)}
_OPTIONS: Mapping[str, Check] = {"options": array(OPTION, 1, 100), "option_groups": array(OPTION_GROUP, 1, 100)}
_CONVERSATION = string(1)
_HAS_OPTIONS = (exactly_one_of("options", "option_groups"), initial_is_offered, option_values_differ)

IMAGE = record(
    {"type": always("image"), "alt_text": string(1, 2000)},
    {"image_url": url(3000), "slack_file": SLACK_FILE},
    exactly_one_of("image_url", "slack_file"),
)

_BUTTON = record(
    {"type": always("button"), "text": plain_text(75)},
    {
        "action_id": ACTION_ID,
        "url": url(3000),
        "value": string(1, 2000),
        "style": STYLE,
        "confirm": CONFIRM,
        "accessibility_label": string(1, 75),
    },
)
_CHECKBOXES = record(
    {"type": always("checkboxes"), "options": array(RICH_OPTION, 1, 10)},
    {**_COMMON, "initial_options": array(RICH_OPTION, 1)},
    initial_is_offered,
    option_values_differ,
)
_RADIO_BUTTONS = record(
    {"type": always("radio_buttons"), "options": array(RICH_OPTION, 1, 10)},
    {**_COMMON, "initial_option": RICH_OPTION},
    initial_is_offered,
    option_values_differ,
)
_DATEPICKER = record(
    {"type": always("datepicker")},
    {**_SELECT, "initial_date": string(pattern=r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")},
)
_TIMEPICKER = record(
    {"type": always("timepicker")},
    {**_SELECT, "initial_time": string(pattern=r"([01][0-9]|2[0-3]):[0-5][0-9]"), "timezone": string(1)},
)
_DATETIMEPICKER = record({"type": always("datetimepicker")}, {**_COMMON, "initial_date_time": integer(0, 9_999_999_999)})
_OVERFLOW = record(
    {"type": always("overflow"), "options": array(OVERFLOW_OPTION, 1, 5)},
    {"action_id": ACTION_ID, "confirm": CONFIRM},
    option_values_differ,
)
_STATIC_SELECT = record({"type": always("static_select")}, {**_SELECT, **_OPTIONS, "initial_option": OPTION}, *_HAS_OPTIONS)
_MULTI_STATIC_SELECT = record(
    {"type": always("multi_static_select")}, {**_MULTI, **_OPTIONS, "initial_options": array(OPTION, 1)}, *_HAS_OPTIONS
)
_EXTERNAL_SELECT = record(
    {"type": always("external_select")}, {**_SELECT, "initial_option": OPTION, "min_query_length": integer(0)}
)
_MULTI_EXTERNAL_SELECT = record(
    {"type": always("multi_external_select")},
    {**_MULTI, "initial_options": array(OPTION, 1), "min_query_length": integer(0)},
)
_USERS_SELECT = record({"type": always("users_select")}, {**_SELECT, "initial_user": USER_ID})
_MULTI_USERS_SELECT = record({"type": always("multi_users_select")}, {**_MULTI, "initial_users": array(USER_ID, 1)})
_CONVERSATIONS: Mapping[str, Check] = {"default_to_current_conversation": boolean, "filter": CONVERSATION_FILTER}
_CONVERSATIONS_SELECT = record(
    {"type": always("conversations_select")},
    {**_SELECT, **_CONVERSATIONS, "initial_conversation": _CONVERSATION, "response_url_enabled": boolean},
)
_MULTI_CONVERSATIONS_SELECT = record(
    {"type": always("multi_conversations_select")},
    {**_MULTI, **_CONVERSATIONS, "initial_conversations": array(_CONVERSATION, 1)},
)
_CHANNELS_SELECT = record(
    {"type": always("channels_select")}, {**_SELECT, "initial_channel": CHANNEL_ID, "response_url_enabled": boolean}
)
_MULTI_CHANNELS_SELECT = record({"type": always("multi_channels_select")}, {**_MULTI, "initial_channels": array(CHANNEL_ID, 1)})
_PLAIN_TEXT_INPUT = record(
    {"type": always("plain_text_input")},
    {
        **_INPUT,
        "initial_value": string(),
        "multiline": boolean,
        "min_length": integer(0, 3000),
        "max_length": integer(1, 3000),
    },
)
_EMAIL_INPUT = record({"type": always("email_text_input")}, {**_INPUT, "initial_value": string()})
_URL_INPUT = record({"type": always("url_text_input")}, {**_INPUT, "initial_value": string()})
_NUMBER_INPUT = record(
    {"type": always("number_input"), "is_decimal_allowed": boolean},
    {**_INPUT, "initial_value": _NUMBER, "min_value": _NUMBER, "max_value": _NUMBER},
)
_RICH_TEXT_INPUT = record(
    {"type": always("rich_text_input"), "action_id": ACTION_ID}, {**_INPUT, "initial_value": RICH_TEXT_BLOCK}
)
_FILE_INPUT = record(
    {"type": always("file_input")},
    {"action_id": ACTION_ID, "filetypes": array(string(1), 1), "max_files": integer(1, 10)},
)
_WORKFLOW_PARAMETER = record({"name": string(1), "value": lambda value, at: iter(())})
_WORKFLOW = record({"trigger": record({"url": url()}, {"customizable_input_parameters": array(_WORKFLOW_PARAMETER)})})
_WORKFLOW_BUTTON = record(
    {"type": always("workflow_button"), "text": plain_text(75), "workflow": _WORKFLOW, "action_id": ACTION_ID},
    {"style": STYLE, "accessibility_label": string(1, 75)},
)
_FEEDBACK_BUTTON = record({"text": plain_text(75), "value": string(1, 2000)}, {"accessibility_label": string(1, 75)})
_FEEDBACK_BUTTONS = record(
    {"type": always("feedback_buttons"), "positive_button": _FEEDBACK_BUTTON, "negative_button": _FEEDBACK_BUTTON},
    {"action_id": ACTION_ID},
)
_ICON_BUTTON = record(
    {"type": always("icon_button"), "icon": always("trash"), "text": plain_text(75)},
    {
        "action_id": ACTION_ID,
        "value": string(1, 2000),
        "confirm": CONFIRM,
        "accessibility_label": string(1, 75),
        "visible_to_user_ids": array(USER_ID),
    },
)

_CHOOSERS: Mapping[str, Check] = {
    "checkboxes": _CHECKBOXES,
    "datepicker": _DATEPICKER,
    "timepicker": _TIMEPICKER,
    "radio_buttons": _RADIO_BUTTONS,
    "static_select": _STATIC_SELECT,
    "external_select": _EXTERNAL_SELECT,
    "users_select": _USERS_SELECT,
    "conversations_select": _CONVERSATIONS_SELECT,
    "channels_select": _CHANNELS_SELECT,
    "multi_static_select": _MULTI_STATIC_SELECT,
    "multi_external_select": _MULTI_EXTERNAL_SELECT,
    "multi_users_select": _MULTI_USERS_SELECT,
    "multi_conversations_select": _MULTI_CONVERSATIONS_SELECT,
    "multi_channels_select": _MULTI_CHANNELS_SELECT,
}
_PRESSED: Mapping[str, Check] = {"button": _BUTTON, "overflow": _OVERFLOW, "workflow_button": _WORKFLOW_BUTTON}

ELEMENTS: Mapping[str, Mapping[str, Check]] = {
    "actions": {**_CHOOSERS, **_PRESSED, "datetimepicker": _DATETIMEPICKER},
    "section": {**_CHOOSERS, **_PRESSED, "image": IMAGE},
    "input": {
        **_CHOOSERS,
        "datetimepicker": _DATETIMEPICKER,
        "plain_text_input": _PLAIN_TEXT_INPUT,
        "email_text_input": _EMAIL_INPUT,
        "url_text_input": _URL_INPUT,
        "number_input": _NUMBER_INPUT,
        "rich_text_input": _RICH_TEXT_INPUT,
        "file_input": _FILE_INPUT,
    },
    "context_actions": {"feedback_buttons": _FEEDBACK_BUTTONS, "icon_button": _ICON_BUTTON},
}
"""Every element that is known, by the block that takes it."""

IN_ACTIONS = by_type(ELEMENTS["actions"], "element")
IN_SECTION = by_type(ELEMENTS["section"], "element")
IN_INPUT = by_type(ELEMENTS["input"], "element")
IN_CONTEXT_ACTIONS = by_type(ELEMENTS["context_actions"], "element")
