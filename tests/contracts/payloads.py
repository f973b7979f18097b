"""Judges what Muster says to Slack: every block by the schema that others wrote, and the rules across a payload.

``faults_of_message`` and ``faults_of_view`` judge one payload; ``faults_of`` judges everything that a scenario sent
(the fixture in ``tests/scenarios/conftest.py`` calls it when a scenario ends). The schema knows single blocks only; the
rules across blocks are from docs.slack.dev/reference/block-kit and the pages of the methods. Without the schemas of others
the rules across a payload still hold.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from bot.sandbox.ledger import Call
from bot.sandbox.server import Sandbox
from tests.conftest import CONTRACTS

Json = dict[str, Any]

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
BLOCK_TEXT = 13_200
"""All texts of a message's blocks together: measured by others, undocumented (bolt-js #2509)."""
MARKDOWN_TEXT = 12_000
TEXT = 40_000
UPDATED_TEXT = 4_000
TOPIC = 250

FORMATS = FormatChecker()


def has_uri_check() -> bool:
    """Whether the format checker judges URLs: it does so only with rfc3986-validator installed."""
    return "uri" in FORMATS.checkers


@functools.cache
def _schema() -> Json | None:
    path = CONTRACTS / "slack-block-kit.schema.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


@functools.cache
def _validator(definition: str) -> Draft202012Validator | None:
    schema = _schema()
    if schema is None:
        return None
    name = definition if definition in schema["$defs"] else "block"
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]}, format_checker=FORMATS)


@functools.cache
def _faults_by_schema(definition: str, text: str) -> tuple[str, ...]:
    validator = _validator(definition)
    if validator is None:
        return ()
    found = validator.iter_errors(json.loads(text))
    return tuple(f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in found)


def _schema_faults(definition: str, value: Json) -> tuple[str, ...]:
    return _faults_by_schema(definition, json.dumps(value, sort_keys=True))


# -- one payload ---------------------------------------------------------------------------------------------------


def faults_of_message(payload: Json, *, updated: bool = False) -> list[str]:
    """What is wrong with a message: ``text`` and ``blocks`` as they are sent. ``updated``: by chat.update."""
    faults: list[str] = []
    text, blocks = payload.get("text"), payload.get("blocks") or []
    if not text:
        faults.append("no text: notifications and screen readers have nothing to say")
    elif len(text) > (UPDATED_TEXT if updated else TEXT):
        faults.append(f"text has {len(text)} characters")
    if payload.get("link_names") or payload.get("parse"):
        faults.append("link_names and parse let a text call people")
    faults.extend(_faults_of_blocks(blocks, most=MESSAGE_BLOCKS))
    if sum(len(found) for found in texts_in(blocks)) > BLOCK_TEXT:
        faults.append(f"the blocks have more than {BLOCK_TEXT} characters together")
    if any(block.get("type") == "input" for block in blocks):
        faults.append("an input block in a message")
    return faults


def faults_of_view(view: Json) -> list[str]:
    """What is wrong with a modal."""
    faults = [f"view: {fault}" for fault in _schema_faults("modal_view", view)]
    faults.extend(_faults_of_blocks(view.get("blocks", []), most=VIEW_BLOCKS))
    focused = sum(bool((block.get("element") or {}).get("focus_on_load")) for block in view.get("blocks", []))
    if focused > 1:
        faults.append("more than one element takes the focus")
    return faults


def _faults_of_blocks(blocks: list[Json], *, most: int) -> Iterator[str]:
    for block in blocks:
        definition = f"{block.get('type')}_block"
        yield from (f"{block.get('type')} {block.get('block_id', '')}: {fault}" for fault in _schema_faults(definition, block))
        for action_id in _repeated(element["action_id"] for element in elements_of(block)):
            yield f"action_id {action_id} twice in one block"
    if len(blocks) > most:
        yield f"{len(blocks)} blocks"
    for block_id in _repeated(block["block_id"] for block in blocks if "block_id" in block):
        yield f"block_id {block_id} twice"
    if sum(block.get("type") == "table" for block in blocks) > 1:
        yield "more than one table"
    if sum(len(block.get("text", "")) for block in blocks if block.get("type") == "markdown") > MARKDOWN_TEXT:
        yield "too much markdown text"


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def elements_of(block: Json) -> list[Json]:
    """The interactive elements of a block."""
    candidates = [*block.get("elements", []), block.get("accessory"), block.get("element")]
    return [item for item in candidates if isinstance(item, dict) and "action_id" in item]


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a structure of blocks."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


# -- everything that was sent --------------------------------------------------------------------------------------


def faults_of(sandbox: Sandbox) -> list[str]:
    """What is wrong with anything that the bot said: by the Web API, at a response_url, in an answer."""
    faults: list[str] = []
    for call in sandbox.calls:
        faults.extend(f"{call.method}: {fault}" for fault in _faults_of_call(call))
    for delivery in sandbox.deliveries:
        for attempt in delivery.attempts:
            answer = attempt.json()
            if isinstance(answer, dict):
                faults.extend(f"answer to {delivery.kind}: {fault}" for fault in _faults_of_answer(delivery.kind, answer))
    return faults


def _faults_of_call(call: Call) -> list[str]:
    arguments = {name: call.structure(name) if name in ("blocks", "view") else value for name, value in call.arguments.items()}
    if call.method in ("chat.postMessage", "chat.update", "chat.postEphemeral", "response_url"):
        faults = faults_of_message(arguments, updated=call.method == "chat.update")
        if call.method == "chat.postMessage" and not arguments.get("unfurl_links") is arguments.get("unfurl_media") is False:
            faults.append("links would be unfurled")
        return faults
    if call.method in ("views.open", "views.update", "views.push"):
        return faults_of_view(arguments["view"])
    if call.method == "conversations.setTopic" and len(arguments["topic"]) > TOPIC:
        return [f"a topic of {len(arguments['topic'])} characters"]
    return []


def _faults_of_answer(kind: str, answer: Json) -> list[str]:
    if kind.startswith("command"):
        return faults_of_message(answer)
    if "view" in answer:
        return faults_of_view(answer["view"])
    return []
