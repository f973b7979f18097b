"""What people put into elements: values as Slack keeps them (``view.state.values``), and what its client refuses.

Pure functions, used by ``views`` and ``workspace``. Shapes:
docs.slack.dev/reference/interaction-payloads/view-interactions-payload
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.domain.errors import UserError
from bot.sandbox.block_objects import offered_options
from bot.sandbox.blocks import elements_of
from bot.sandbox.models import Json

# Element type → (key of its value in state.values, field of the element with its first value)
_KEPT: Mapping[str, tuple[str, str]] = {
    "plain_text_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "rich_text_input": ("rich_text_value", "initial_value"),
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "users_select": ("selected_user", "initial_user"),
    "channels_select": ("selected_channel", "initial_channel"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "checkboxes": ("selected_options", "initial_options"),
    "multi_static_select": ("selected_options", "initial_options"),
    "multi_external_select": ("selected_options", "initial_options"),
    "multi_users_select": ("selected_users", "initial_users"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "file_input": ("files", "initial_files"),
}
_MANY = {"selected_options", "selected_users", "selected_channels", "selected_conversations", "files"}
REQUIRED = "Please complete this required field."


def initial_value(element: Json) -> Json | None:
    """The untouched value of an element, or None for one that keeps none (buttons)."""
    if element["type"] not in _KEPT:
        return None
    key, source = _KEPT[element["type"]]
    empty: Any = [] if key in _MANY else None
    return {"type": element["type"], key: element.get(source, empty)}


def is_empty(value: Json) -> bool:
    """Nothing was chosen or written."""
    return not any(held not in (None, "", []) for key, held in value.items() if key != "type")


def chosen(element: Json, given: Mapping[str, Any]) -> Json:
    """The value that a person's choice makes: ``given`` has the key of the element's kind (or just ``value``).

    Options may be given by their ``value`` alone. Raises UserError for one that is not offered.
    """
    key, _ = _KEPT[element["type"]]
    if key not in given and "value" not in given:
        raise UserError(f"A {element['type']} takes {key}, but got {', '.join(given) or 'nothing'}.")
    held = given.get(key, given.get("value"))
    if key == "selected_option" and held is not None:
        held = _option(element, held)
    elif key == "selected_options":
        held = [_option(element, one) for one in held or []]
    return {"type": element["type"], key: held}


def _option(element: Json, wanted: Any) -> Json:
    value = wanted["value"] if isinstance(wanted, dict) else wanted
    if element["type"].endswith("external_select"):
        return dict(wanted) if isinstance(wanted, dict) else {"text": {"type": "plain_text", "text": value}, "value": value}
    for option in offered_options(element):
        if option["value"] == value:
            return dict(option)
    offered = ", ".join(str(option["value"]) for option in offered_options(element))
    raise UserError(f"{value!r} is not one of the options of {element.get('action_id')}: {offered}.")


def fault_of(element: Json, value: Json) -> str | None:
    """Why Slack's client would not send this value, in its words, or None."""
    if is_empty(value):
        return None
    held = value.get("value")
    kind = element["type"]
    if kind == "plain_text_input":
        return _length_fault(element, held or "")
    if kind == "email_text_input" and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", held or ""):
        return "Please enter a valid email address."
    if kind == "url_text_input" and not re.fullmatch(r"(?i)https?://\S+", held or ""):
        return "Please enter a valid URL."
    if kind == "number_input":
        return _number_fault(element, held or "")
    limit = element.get("max_selected_items")
    if limit is not None and any(isinstance(one, list) and len(one) > limit for one in value.values()):
        return f"Please choose at most {limit}."
    return None


def _length_fault(element: Json, text: str) -> str | None:
    shortest, longest = element.get("min_length", 0), element.get("max_length", 3000)
    if len(text) < shortest:
        return f"Please enter at least {shortest} characters."
    if len(text) > longest:
        return f"Please enter at most {longest} characters."
    return None


def _number_fault(element: Json, text: str) -> str | None:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return "Please enter a valid number."
    if not element["is_decimal_allowed"] and "." in text:
        return "Please enter a whole number."
    if "min_value" in element and float(text) < float(element["min_value"]):
        return f"Please enter a number of at least {element['min_value']}."
    if "max_value" in element and float(text) > float(element["max_value"]):
        return f"Please enter a number of at most {element['max_value']}."
    return None


def action_of(block: Json, element: Json, given: Mapping[str, Any], action_ts: str) -> Json:
    """The entry of ``actions`` in a block_actions payload. Raises UserError for a value that the element cannot have."""
    action: Json = {"action_id": element["action_id"], "block_id": block["block_id"]}
    kind = element["type"]
    if kind == "button":
        action |= {name: element[name] for name in ("text", "value", "style", "url", "confirm") if name in element}
    elif kind == "overflow":
        wanted = given.get("selected_option", given.get("value"))
        action["selected_option"] = _option(element, wanted)
    elif kind in _KEPT:
        action |= chosen(element, given)
        action |= {name: element[name] for name in ("placeholder", "confirm") if name in element}
    else:
        raise UserError(f"A {kind} cannot be clicked.")
    return action | {"type": kind, "action_ts": action_ts}


def find_element(blocks: list[Json], action_id: str, block_id: str | None) -> tuple[Json, Json]:
    """The one element with these ids. Raises UserError that lists what there is."""
    there = [(block, element) for block in blocks for element in elements_of(block)]
    found = [
        (block, element)
        for block, element in there
        if element["action_id"] == action_id and block_id in (None, block["block_id"])
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{block['block_id']}/{element['action_id']}" for block, element in there) or "none"
    problem = "is no element" if not found else "are several elements"
    raise UserError(f"There {problem} {block_id or '*'}/{action_id} here: there are {names}.")
