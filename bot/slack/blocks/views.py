"""The modals: declaring an incident, skipping a step, the parameters of an action, calling people. ``read_…`` reads them back.

Limits: docs.slack.dev, surfaces/modals. ``private_metadata`` carries ids only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bot.domain.errors import UserError
from bot.domain.runbook import Runbook
from bot.domain.service import Service
from bot.domain.severity import Severity
from bot.domain.text import TITLE_MAX_CHARS, cut
from bot.slack.blocks import ids
from bot.slack.blocks.parts import context, escape, mrkdwn, option, plain, section
from bot.slack.drawing import Block

View = dict[str, Any]
VALUE = "value"
"""The action_id of every input; its block_id says what it is."""


def _view(title: str, callback_id: str, blocks: Sequence[Block], *, submit: str, metadata: Mapping[str, Any]) -> View:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain(title, max_chars=24),
        "submit": plain(submit, max_chars=24),
        "close": plain("Cancel", max_chars=24),
        "blocks": list(blocks),
        "private_metadata": json.dumps(metadata),
    }


def _input(block_id: str, label: str, element: Block, *, optional: bool = False, hint: str = "") -> Block:
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain(label, max_chars=2_000),
        "element": {**element, "action_id": VALUE},
        "optional": optional,
    }
    if hint:
        block["hint"] = plain(hint, max_chars=2_000)
    return block


def _text(*, initial: str = "", placeholder: str = "", multiline: bool = False, max_length: int = 3_000) -> Block:
    element: Block = {"type": "plain_text_input", "multiline": multiline, "max_length": max_length}
    if initial:
        element["initial_value"] = cut(initial, max_chars=max_length)
    if placeholder:
        element["placeholder"] = plain(placeholder, max_chars=150)
    return element


def _menu(placeholder: str, options: Sequence[Block]) -> Block:
    return {
        "type": "static_select",
        "placeholder": plain(placeholder, max_chars=150),
        "options": list(options)[:100],
    }


def notice_view(title: str, text: str) -> View:
    """A modal that only says something; ``text`` is mrkdwn, escaped."""
    return {
        "type": "modal",
        "title": plain(title, max_chars=24),
        "close": plain("Close", max_chars=24),
        "blocks": [section(text)],
    }


# -- declaring -----------------------------------------------------------------------------------------------------


def declare_view(
    *,
    runbooks: Sequence[Runbook],
    services: Sequence[Service],
    severities: Mapping[Severity, str],
    title: str = "",
    channel_id: str = "",
    message_ts: str = "",
) -> View:
    """The form: what is broken, and what is known about it. The origin is kept to answer where it was declared."""
    blocks = [
        _input(
            "title",
            "What is broken?",
            _text(initial=title, placeholder="Nobody can sign in", max_length=TITLE_MAX_CHARS),
        ),
    ]
    if runbooks:
        items = [option(f"{item.title} ({item.service})", item.id) for item in runbooks]
        hint = "Left open, the words above choose it."
        blocks.append(_input("runbook", "Runbook", _menu("By the words", items), optional=True, hint=hint))
    levels = [option(f"{severity.value} {text}", severity.value) for severity, text in severities.items()]
    blocks.append(_input("severity", "Severity", _menu("As the runbook says", levels), optional=True))
    if services:
        items = [option(item.title, item.id) for item in services]
        blocks.append(_input("service", "Service", _menu("As the runbook says", items), optional=True))
    private: Block = {
        "type": "checkboxes",
        "options": [{"text": mrkdwn("Private: only invited people see the room"), "value": "private"}],
    }
    blocks.append(_input("private", "Who may see it", private, optional=True))
    metadata = {"channel": channel_id, "ts": message_ts}
    return _view("Open an incident", ids.VIEW_DECLARE, blocks, submit="Open", metadata=metadata)


# -- steps ---------------------------------------------------------------------------------------------------------


def skip_view(target: str, step_title: str) -> View:
    """Why a step is skipped."""
    blocks = [
        section(f"*{escape(step_title)}*"),
        _input("reason", "Why is it not needed?", _text(placeholder="We are not on Vercel", max_length=500)),
    ]
    return _view("Skip a step", ids.VIEW_SKIP, blocks, submit="Skip", metadata={"target": target})


def missing_fields(params: type[BaseModel], given: Mapping[str, Any]) -> dict[str, FieldInfo]:
    """The parameters that the runbook does not give and the action cannot do without."""
    return {name: field for name, field in params.model_fields.items() if name not in given and field.is_required()}


def run_view(target: str, title: str, params: type[BaseModel], given: Mapping[str, Any], caution: str | None) -> View:
    """The form of an action: one input for each parameter that the runbook does not give."""
    blocks: list[Block] = []
    if caution:
        blocks.append(section(f"⚠️ {escape(caution)}"))
    for name, field in missing_fields(params, given).items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        label = field.title or name.replace("_", " ").capitalize()
        element = _text(placeholder=str(extra.get("placeholder", "")), max_length=500)
        blocks.append(_input(f"param:{name}", label, element, hint=field.description or ""))
    blocks.append(context("Nothing happens yet: you see what it would do, and confirm that."))
    return _view(title, ids.VIEW_RUN, blocks, submit="Preview", metadata={"target": target})


# -- escalating ----------------------------------------------------------------------------------------------------


def escalate_view(target: str, offers: Mapping[str, str], *, handing_over: bool = False) -> View:
    """Whom to call now, and why. ``offers``: the texts of the choices, by their values. With ``handing_over`` it is for whoever
    has it and does not want it any more."""
    blocks: list[Block] = []
    if handing_over:
        blocks.append(section("Whoever is called can take it over from you. Nothing happens before you send this."))
    if offers:
        items = [option(text, value) for value, text in offers.items()]
        hint = "Left open, and without a person below: the next level."
        blocks.append(_input("whom", "Whom?", _menu("The next level", items), optional=True, hint=hint))
    someone: Block = {"type": "users_select", "placeholder": plain("Anybody in Slack", max_chars=150)}
    blocks.append(_input("person", "Or a person", someone, optional=True))
    placeholder = "I am off at six" if handing_over else "The database is corrupt"
    blocks.append(_input("reason", "Why?", _text(placeholder=placeholder, max_length=500), optional=True))
    title, submit = ("Hand over", "Hand over") if handing_over else ("Escalate", "Call them")
    return _view(title, ids.VIEW_ESCALATE, blocks, submit=submit, metadata={"target": target})


# -- reading them back ---------------------------------------------------------------------------------------------


def metadata_of(view: Mapping[str, Any]) -> dict[str, str]:
    """The ids that the view carries. Raises: UserError when they are not ours."""
    try:
        data = json.loads(view.get("private_metadata") or "{}")
    except (ValueError, RecursionError) as error:
        raise UserError("That form is not one of Muster's; nothing was done.") from error
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise UserError("That form is not one of Muster's; nothing was done.")
    return data


def text_of(view: Mapping[str, Any], block_id: str) -> str:
    """What was typed, or the value or the person that was picked; "" for nothing."""
    state = _state(view, block_id)
    picked = state.get("selected_option")
    if isinstance(picked, dict):
        return str(picked.get("value", ""))
    if isinstance(state.get("selected_user"), str):
        return str(state["selected_user"])
    return str(state.get("value") or "")


def checked(view: Mapping[str, Any], block_id: str) -> bool:
    """Whether the one box of a block is ticked."""
    return bool(_state(view, block_id).get("selected_options"))


def _state(view: Mapping[str, Any], block_id: str) -> Mapping[str, Any]:
    values = (view.get("state") or {}).get("values") or {}
    found = (values.get(block_id) or {}).get(VALUE) or {}
    return found if isinstance(found, dict) else {}


def read_params(view: Mapping[str, Any], params: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters, checked by the action's own model. Raises: FieldErrors with the sentence for each field."""
    raw = dict(given)
    for name in missing_fields(params, given):
        raw[name] = text_of(view, f"param:{name}").strip()
    try:
        return params.model_validate(raw).model_dump(mode="json")
    except ValidationError as error:
        problems: dict[str, str] = {}
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            field = params.model_fields.get(name)
            extra = field.json_schema_extra if field and isinstance(field.json_schema_extra, dict) else {}
            wrong = "That is not one" if problem["type"] == "string_pattern_mismatch" else str(problem["msg"])
            example = f"; it looks like {extra['placeholder']}" if extra.get("placeholder") else ""
            problems[f"param:{name}"] = cut(f"{wrong}{example}.", max_chars=150)
        raise FieldErrors(problems) from None


class FieldErrors(UserError):
    """What is wrong with a form, by block_id: Slack shows each beside its input."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)
