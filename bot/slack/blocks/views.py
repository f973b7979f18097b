"""The modals: declaring an incident, skipping a step, the parameters of an action, calling people. ``read_…`` reads them back.

Limits: docs.slack.dev, surfaces/modals. ``private_metadata`` carries ids only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bot.domain.errors import UserError
from bot.domain.runbook import Runbook
from bot.domain.service import Service
from bot.domain.severity import Severity
from bot.domain.text import REASON_MAX_CHARS, TITLE_MAX_CHARS, cut
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


def break_glass_view(target: str, title: str, summary: str, digest: str) -> View:
    """Why it cannot wait for a second person. ``digest`` tells which parameters are meant."""
    blocks = [
        section(f"*{escape(title)}*\n{escape(summary)}"),
        context(f"parameters {escape(digest)}"),
        _input(
            "reason",
            "Why can it not wait for a second person?",
            _text(placeholder="Nobody answers, and it gets worse", multiline=True, max_length=REASON_MAX_CHARS),
            hint="It is done as soon as you send this. Everybody reads in the incidents channel that you went on alone.",
        ),
    ]
    return _view("Go on alone", ids.VIEW_BREAK_GLASS, blocks, submit="Go on alone", metadata={"target": target})


# -- the parameters of an action -----------------------------------------------------------------------------------


ACCOUNT_FIELDS = ("user_ids", "accounts")
"""A field of this name begins with the accounts of the incident."""
LIST_MAX_CHARS = 3_000
"""docs.slack.dev, reference/block-kit/block-elements/plain-text-input-element."""


def missing_fields(params: type[BaseModel], given: Mapping[str, Any]) -> dict[str, FieldInfo]:
    """The parameters that the runbook does not give: those that the action cannot do without first."""
    asked = {name: field for name, field in params.model_fields.items() if name not in given}
    return dict(sorted(asked.items(), key=lambda item: not item[1].is_required()))


def run_view(
    target: str,
    title: str,
    params: type[BaseModel],
    given: Mapping[str, Any],
    caution: str | None,
    accounts: Sequence[str] = (),
) -> View:
    """The form of an action: one input for each parameter that the runbook does not give. ``accounts`` are those that the
    incident says are affected."""
    blocks: list[Block] = []
    if caution:
        blocks.append(section(f"⚠️ {escape(caution)}"))
    blocks.extend(_field_input(name, field, accounts) for name, field in missing_fields(params, given).items())
    blocks.append(context("Nothing happens yet: you see what it would do, and confirm that."))
    return _view(title, ids.VIEW_RUN, blocks, submit="Preview", metadata={"target": target})


def _field_input(name: str, field: FieldInfo, accounts: Sequence[str]) -> Block:
    label, hint = field.title or name.replace("_", " ").capitalize(), field.description or ""
    optional = not field.is_required()
    if name in ACCOUNT_FIELDS and accounts:
        known = "\n".join(accounts)
        element = _text(initial=known if len(known) <= LIST_MAX_CHARS else "", multiline=True)
        if len(known) > LIST_MAX_CHARS:  # too many for an input
            optional, hint = True, f"{hint} Left empty: all {len(accounts)} accounts that this incident lists.".strip()
        return _input(f"param:{name}", label, element, optional=optional, hint=hint)
    element = _element(field)
    return _input(f"param:{name}", label, element, optional=optional or element["type"] == "checkboxes", hint=hint)


def _element(field: FieldInfo) -> Block:
    """The input that fits the type of a parameter; its default stands in it."""
    kind, default = _kind(field), None if field.is_required() else field.get_default(call_default_factory=True)
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    placeholder = str(extra.get("placeholder", ""))
    if kind is bool:
        yes = {"text": mrkdwn("Yes"), "value": "yes"}
        return {"type": "checkboxes", "options": [yes], **({"initial_options": [yes]} if default is True else {})}
    if kind in (int, float):
        return _number(field, default, placeholder, decimal=kind is float)
    choices = _choices(kind)
    if choices:
        options = [option(choice, choice) for choice in choices]
        menu = _menu(placeholder or "Choose", options)
        chosen = next((one for one in options if default is not None and one["value"] == _said(default)), None)
        return {**menu, "initial_option": chosen} if chosen else menu
    if get_origin(kind) in _LISTS:
        initial = "\n".join(map(_said, default)) if default else ""
        return _text(initial=initial, placeholder=placeholder or "One per line", multiline=True)
    is_plain = isinstance(default, str | int | float)
    longest = next((bound.max_length for bound in field.metadata if isinstance(bound, MaxLen)), _LINE_MAX_CHARS)
    return _text(
        initial=_said(default) if is_plain else "",
        placeholder=placeholder,
        multiline=longest > _LINE_MAX_CHARS,
        max_length=max(_LINE_MAX_CHARS, min(longest, _TEXT_MAX_CHARS)),
    )


_LISTS = (tuple, list, set, frozenset)
_LINE_MAX_CHARS = 500
"""What may be longer than this is no line, but a text."""
_TEXT_MAX_CHARS = 3_000
"""Slack's limit of an input."""


def _kind(field: FieldInfo) -> Any:
    """The type of a parameter without what pydantic adds to it, and without None."""
    kind: Any = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kinds = [one for one in get_args(kind) if one is not NoneType]
        kind = kinds[0] if len(kinds) == 1 else str
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [_said(choice) for choice in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [_said(choice) for choice in kind]
    return []


def _said(value: object) -> str:
    return str(value.value) if isinstance(value, Enum) else str(value)


def _number(field: FieldInfo, default: Any, placeholder: str, *, decimal: bool) -> Block:
    """A number, within the bounds that the parameter has where Slack knows such bounds."""
    element: Block = {"type": "number_input", "is_decimal_allowed": decimal}
    if isinstance(default, int | float):
        element["initial_value"] = str(default)
    if placeholder:
        element["placeholder"] = plain(placeholder, max_chars=150)
    for bound in field.metadata:
        if isinstance(bound, Ge):
            element["min_value"] = str(bound.ge)
        elif isinstance(bound, Gt) and not decimal:
            element["min_value"] = str(cast(int, bound.gt) + 1)
        elif isinstance(bound, Le):
            element["max_value"] = str(bound.le)
        elif isinstance(bound, Lt) and not decimal:
            element["max_value"] = str(cast(int, bound.lt) - 1)
    return element


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


def read_params(
    view: Mapping[str, Any], params: type[BaseModel], given: Mapping[str, Any], accounts: Sequence[str] = ()
) -> dict[str, Any]:
    """All parameters, checked by the action's own model. Raises: FieldErrors with the sentence for each field."""
    asked = missing_fields(params, given)
    raw = dict(given)
    for name, field in asked.items():
        value = _typed(view, name, field)
        if not value and name in ACCOUNT_FIELDS and accounts:
            value = tuple(accounts)
        if value is not None:
            raw[name] = value
    try:
        return params.model_validate(raw).model_dump(mode="json")
    except ValidationError as error:
        problems: dict[str, str] = {}
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            place = str(problem["loc"][0]) if problem["loc"] else ""
            name = place if place in asked else next(iter(asked), "")  # Slack refuses an error beside what is no input
            problems.setdefault(f"param:{name}", _problem(params, name, problem["type"], problem["msg"]))
        raise FieldErrors(problems) from None


def _typed(view: Mapping[str, Any], name: str, field: FieldInfo) -> Any:
    """What was filled in; None for what was left empty and may be."""
    block_id = f"param:{name}"
    kind = _kind(field)
    if kind is bool:
        return checked(view, block_id)
    text = text_of(view, block_id).strip()
    if get_origin(kind) in _LISTS:
        items = tuple(item.strip() for item in re.split(r"[,\r\n]+", text) if item.strip())
        return items if items or field.is_required() else None
    return text if text or field.is_required() else None


def _problem(params: type[BaseModel], name: str, kind: str, message: str) -> str:
    field = params.model_fields.get(name)
    extra = field.json_schema_extra if field and isinstance(field.json_schema_extra, dict) else {}
    wrong = "That is not one" if kind == "string_pattern_mismatch" else message.removeprefix("Value error, ")
    example = f"; it looks like {extra['placeholder']}" if extra.get("placeholder") else ""
    return cut(f"{wrong}{example}.", max_chars=150)


class FieldErrors(UserError):
    """What is wrong with a form, by block_id: Slack shows each beside its input."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)
