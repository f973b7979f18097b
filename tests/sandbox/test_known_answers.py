"""What the stand-in takes and refuses is what the contracts that others wrote take and refuse, row by row.

Each row is a payload and the answer of Slack to it, and is judged twice: by the sandbox, over HTTP with Slack's own client,
and by the contract in ../shared/contracts (the Block Kit schema, the manifest schema, the tiers of the rate limits, payloads
that Slack really sent). What is documented only, with no contract to ask, is in ``test_slack_answers``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ConfigError
from bot.sandbox.app_manifest import read_manifest
from bot.sandbox.methods import all_methods
from bot.sandbox.rate_limits import PER_MINUTE, POST_BURST, POSTS, SPECIAL, TIER_1, TIER_2, TIER_3, TIER_4
from bot.sandbox.server import Sandbox
from tests.conftest import ROOT
from tests.contracts.payloads import FORMATS, faults_of_message, faults_of_view, has_uri_check
from tests.contracts.test_manifest import methods_used
from tests.sandbox.test_slack_payloads import missing
from tests.sandbox.tiny_bot import TinyBot, actions, button, field, modal, option, section, select, text

pytestmark = pytest.mark.contracts

Json = dict[str, Any]

WORDS = {"type": "plain_text_input", "action_id": "words"}
CONFIRM = {"title": text("Sure?"), "text": text("Really", "mrkdwn"), "confirm": text("Yes"), "deny": text("No")}
RICH = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "hi"}]}]}
IMAGE = {"type": "image", "image_url": "https://x.io/a.png", "alt_text": "a"}
TABLE = {"type": "table", "rows": [[{"type": "raw_text", "text": "1"}]]}
DIVIDER = {"type": "divider"}


def fields(count: int) -> Json:
    """A section with so many fields."""
    return {"type": "section", "fields": [text("x", "mrkdwn")] * count}


def buttons(count: int) -> Json:
    """A row of so many buttons."""
    return actions(*(button(f"b{number}") for number in range(count)))


def context(count: int) -> Json:
    """A context of so many texts."""
    return {"type": "context", "elements": [text("x", "mrkdwn")] * count}


def header(words: str, kind: str = "plain_text") -> Json:
    """A header."""
    return {"type": "header", "text": text(words, kind)}


def said(blocks: list[Json] | None = None, words: str = "hi") -> Json:
    """A message."""
    return {"text": words} | ({} if blocks is None else {"blocks": blocks})


# (what, the message, Slack's refusal or None)
MESSAGES: list[tuple[str, Json, str | None]] = [
    ("a text", said(), None),
    ("40,000 characters", said(words="x" * 40_000), None),
    ("50 blocks", said([section()] * 50), None),
    ("51 blocks", said([section()] * 51), "invalid_blocks"),
    ("a section of 3,000", said([section("x" * 3_000)]), None),
    ("a section of 3,001", said([section("x" * 3_001)]), "invalid_blocks"),
    ("an empty section", said([section("")]), "invalid_blocks"),
    ("a section without text or fields", said([{"type": "section"}]), "invalid_blocks"),
    ("10 fields", said([fields(10)]), None),
    ("11 fields", said([fields(11)]), "invalid_blocks"),
    ("a field of 2,001", said([{"type": "section", "fields": [text("x" * 2_001)]}]), "invalid_blocks"),
    ("a field that no block has", said([section(colour="red")]), "invalid_blocks"),
    ("a section with a button", said([section(accessory=button())]), None),
    ("a section with an input", said([section(accessory=WORDS)]), "invalid_blocks"),
    ("a header of 150", said([header("x" * 150)]), None),
    ("a header of 151", said([header("x" * 151)]), "invalid_blocks"),
    ("a header in mrkdwn", said([header("x", "mrkdwn")]), "invalid_blocks"),
    ("10 elements of context", said([context(10)]), None),
    ("11 elements of context", said([context(11)]), "invalid_blocks"),
    ("a button in a context", said([{"type": "context", "elements": [button()]}]), "invalid_blocks"),
    ("an image", said([IMAGE]), None),
    ("an image without words", said([{"type": "image", "image_url": "https://x.io/a.png"}]), "invalid_blocks"),
    ("an image without an address", said([{"type": "image", "alt_text": "a"}]), "invalid_blocks"),
    ("25 buttons", said([buttons(25)]), None),
    ("26 buttons", said([buttons(26)]), "invalid_blocks"),
    ("no buttons", said([actions()]), "invalid_blocks"),
    ("a button of 75", said([actions(button(text=text("x" * 75)))]), None),
    ("a button of 76", said([actions(button(text=text("x" * 76)))]), "invalid_blocks"),
    ("a button in mrkdwn", said([actions(button(text=text("x", "mrkdwn")))]), "invalid_blocks"),
    ("a value of 2,000", said([actions(button(value="x" * 2_000))]), None),
    ("a value of 2,001", said([actions(button(value="x" * 2_001))]), "invalid_blocks"),
    ("a button that is danger", said([actions(button(style="danger"))]), None),
    ("a button that is warning", said([actions(button(style="warning"))]), "invalid_blocks"),
    ("a link", said([actions(button(url="https://example.com/a?b=c#d%20e"))]), None),
    ("a link that is none", said([actions(button(url="not a url"))]), "invalid_blocks"),
    ("a link of 3,001", said([actions(button(url="https://x.io/" + "x" * 2_988))]), "invalid_blocks"),
    ("an action_id of 256", said([actions(button("x" * 256))]), "invalid_blocks"),
    ("a block_id of 256", said([actions(button(), block_id="x" * 256)]), "invalid_blocks"),
    ("an action_id twice in a block", said([actions(button(), button())]), "invalid_blocks"),
    ("an action_id twice in two blocks", said([actions(button()), actions(button())]), None),
    ("a block_id twice", said([section(block_id="b"), section(block_id="b")]), "invalid_blocks"),
    ("a question first", said([actions(button(confirm=CONFIRM))]), None),
    ("a question too long", said([actions(button(confirm=CONFIRM | {"text": text("x" * 301)}))]), "invalid_blocks"),
    ("a question without no", said([actions(button(confirm={k: CONFIRM[k] for k in ("title", "text")}))]), "invalid_blocks"),
    ("100 options", said([actions(select(*map(str, range(100))))]), None),
    ("101 options", said([actions(select(*map(str, range(101))))]), "invalid_blocks"),
    ("no options", said([actions(select())]), "invalid_blocks"),
    ("an option of 151", said([actions(select("x" * 151))]), "invalid_blocks"),
    ("5 options in an overflow", said([actions({"type": "overflow", "options": [option(one) for one in "abcde"]})]), None),
    (
        "6 options in an overflow",
        said([actions({"type": "overflow", "options": [option(one) for one in "abcdef"]})]),
        "invalid_blocks",
    ),
    (
        "11 checkboxes",
        said([actions({"type": "checkboxes", "action_id": "c", "options": [option(str(one)) for one in range(11)]})]),
        "invalid_blocks",
    ),
    ("a placeholder of 151", said([actions(select("a", placeholder=text("x" * 151)))]), "invalid_blocks"),
    ("a date", said([actions({"type": "datepicker", "action_id": "d", "initial_date": "2026-11-20"})]), None),
    (
        "a date the wrong way round",
        said([actions({"type": "datepicker", "action_id": "d", "initial_date": "20.11.2026"})]),
        "invalid_blocks",
    ),
    ("formatted text", said([RICH]), None),
    (
        "formatted text of no kind",
        said([{"type": "rich_text", "elements": [{"type": "rich_text_poem", "elements": []}]}]),
        "invalid_blocks",
    ),
    ("markdown of 12,000", said([{"type": "markdown", "text": "x" * 12_000}]), None),
    ("markdown of 12,001 in two", said([{"type": "markdown", "text": "x" * 6_001}] * 2), "invalid_blocks"),
    ("a table", said([TABLE]), None),
    ("two tables", said([TABLE, TABLE]), "invalid_blocks"),
    ("a table of 21 columns", said([{"type": "table", "rows": [TABLE["rows"][0] * 21]}]), "invalid_blocks"),
    ("a divider", said([DIVIDER]), None),
    ("a block that does not exist", said([{"type": "marquee", "text": text("x")}]), "invalid_blocks"),
    ("a block without a type", said([{"text": text("x")}]), "invalid_blocks"),
    ("more than 13,200 characters in blocks", said([section("x" * 3_000)] * 5), "msg_blocks_too_long"),
]

# (what, the modal, Slack's refusal or None)
VIEWS: list[tuple[str, Json, str | None]] = [
    ("a form", modal(field(WORDS)), None),
    ("a title of 24", modal(section(), title=text("x" * 24)), None),
    ("a title of 25", modal(section(), title=text("x" * 25)), "invalid_arguments"),
    ("a title in mrkdwn", modal(section(), title=text("x", "mrkdwn")), "invalid_arguments"),
    ("no title", {name: value for name, value in modal(section()).items() if name != "title"}, "invalid_arguments"),
    ("a submit of 25", modal(section(), submit=text("x" * 25)), "invalid_arguments"),
    ("a close of 25", modal(section(), close=text("x" * 25)), "invalid_arguments"),
    ("metadata of 3,000", modal(section(), private_metadata="x" * 3_000), None),
    ("metadata of 3,001", modal(section(), private_metadata="x" * 3_001), "invalid_arguments"),
    ("metadata that is an object", modal(section(), private_metadata={}), "invalid_arguments"),
    ("a callback_id of 256", modal(section(), callback_id="x" * 256), "invalid_arguments"),
    ("100 blocks", modal(*[section()] * 100), None),
    ("101 blocks", modal(*[section()] * 101), "invalid_arguments"),
    ("no blocks", modal(), "invalid_arguments"),
    (
        "a form without submit",
        {name: value for name, value in modal(field(WORDS)).items() if name != "submit"},
        "invalid_arguments",
    ),
    ("a field that no form has", modal(section(), colour="red"), "invalid_arguments"),
    ("a label of 2,001", modal(field(WORDS, label=text("x" * 2_001))), "invalid_arguments"),
    ("a hint of 2,000", modal(field(WORDS, hint=text("x" * 2_000))), None),
    ("an input of 3,001", modal(field({**WORDS, "max_length": 3_001})), "invalid_arguments"),
    ("two that take the focus", modal(*(field({**WORDS, "focus_on_load": True}, f"f{n}") for n in "ab")), "invalid_arguments"),
    ("a button as an input", modal(field(button())), "invalid_arguments"),
    ("a block_id twice", modal(field(WORDS), field(WORDS)), "invalid_arguments"),
]


@pytest.fixture(autouse=True)
def _contracts(contracts: Path) -> None:
    """None of these says anything without the contracts, or with a judge who takes every URL."""
    assert has_uri_check()


async def refusal_of(slack: AsyncWebClient, method: str, arguments: Json) -> str | None:
    """Ask; Slack's error code, or None when it was done."""
    try:
        await slack.api_call(method, json=arguments)
    except SlackApiError as refused:
        return str(refused.response["error"])
    return None


def named(rows: list[tuple[str, Json, str | None]]) -> Any:
    """The rows as parameters, each with its words."""
    return pytest.mark.parametrize(("payload", "answer"), [row[1:] for row in rows], ids=[row[0] for row in rows])


# -- blocks and views --------------------------------------------------------------------------------------------------


@named(MESSAGES)
async def test_a_message_is_judged_alike(slack: AsyncWebClient, payload: Json, answer: str | None) -> None:
    """chat.postMessage here, the Block Kit schema and the rules across a payload there."""
    assert await refusal_of(slack, "chat.postMessage", {"channel": "C0SUPPORT", **payload}) == answer
    assert bool(faults_of_message(payload)) == (answer is not None)


@named([row for row in MESSAGES if "blocks" in row[1]])
async def test_a_change_of_a_message_is_judged_alike(slack: AsyncWebClient, payload: Json, answer: str | None) -> None:
    """chat.update takes the same blocks."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="first"))["ts"]
    assert await refusal_of(slack, "chat.update", {"channel": "C0SUPPORT", "ts": ts, **payload}) == answer
    assert bool(faults_of_message(payload, updated=True)) == (answer is not None)


@named([row for row in MESSAGES if "blocks" in row[1]])
async def test_an_answer_to_a_command_is_judged_alike(
    sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient, payload: Json, answer: str | None
) -> None:
    """So does the HTTP answer of a slash command: what is refused is never shown."""
    bot.replies_with(payload)
    result = await sandbox.workspace.command("developer", "support", "/incident")
    assert result.ok == (answer is None)
    assert answer is None or answer in (result.error or "")
    assert bool(sandbox.workspace.messages("support", "developer")) == (answer is None)


@named(VIEWS)
async def test_a_form_is_judged_alike(
    sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient, payload: Json, answer: str | None
) -> None:
    """views.open here, the schema of modals there; a form that is refused is in front of nobody."""
    await sandbox.workspace.command("developer", "support", "/incident")
    trigger_id = bot.received[-1].payload["trigger_id"]
    assert await refusal_of(slack, "views.open", {"trigger_id": trigger_id, "view": payload}) == answer
    assert bool(sandbox.workspace.views("developer")) == (answer is None)
    assert bool(faults_of_view(payload)) == (answer is not None)


@pytest.mark.parametrize(
    ("home", "answer"),
    [
        ({"type": "home", "blocks": [section()] * 100}, None),
        ({"type": "home", "blocks": [section()] * 101}, "invalid_arguments"),
        ({"type": "home", "blocks": []}, "invalid_arguments"),
        ({"type": "home", "blocks": [section()], "title": text("T")}, "invalid_arguments"),
        ({"type": "home", "blocks": [section()], "private_metadata": "x" * 3_001}, "invalid_arguments"),
    ],
    ids=["100 blocks", "101 blocks", "no blocks", "a title", "metadata of 3,001"],
)
async def test_a_home_tab_is_judged_alike(slack: AsyncWebClient, contracts: Path, home: Json, answer: str | None) -> None:
    """views.publish here, the schema of Home tabs there."""
    schema = json.loads((contracts / "slack-block-kit.schema.json").read_text("utf-8"))
    judge = Draft202012Validator({"$ref": "#/$defs/home_view", "$defs": schema["$defs"]}, format_checker=FORMATS)
    assert await refusal_of(slack, "views.publish", {"user_id": "U0ONCALL", "view": home}) == answer
    assert judge.is_valid(home) == (answer is None)


# -- the manifest ------------------------------------------------------------------------------------------------------


def manifest() -> Json:
    """Muster's own."""
    return dict(yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8")))


def put(value: Any, *path: str | int) -> Callable[[Json], None]:
    """A change of a manifest: this value at that place."""

    def change(found: Json) -> None:
        inner: Any = found
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value

    return change


def without(*path: str | int) -> Callable[[Json], None]:
    """A change of a manifest: nothing at that place."""

    def change(found: Json) -> None:
        inner: Any = found
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]

    return change


COMMAND = ("features", "slash_commands", 0)
SHORTCUT = ("features", "shortcuts", 0)
EVENTS = ("settings", "event_subscriptions")

# (what, the change of manifest.yml, whether Slack installs it)
MANIFESTS: list[tuple[str, Callable[[Json], None], bool]] = [
    ("as it is", lambda found: None, True),
    ("a name of 35", put("x" * 35, "display_information", "name"), True),
    ("a name of 36", put("x" * 36, "display_information", "name"), False),
    ("no name", without("display_information", "name"), False),
    ("a description of 141", put("x" * 141, "display_information", "description"), False),
    ("a bot of 80", put("x" * 80, "features", "bot_user", "display_name"), True),
    ("a bot of 81", put("x" * 81, "features", "bot_user", "display_name"), False),
    ("a bot without a name", without("features", "bot_user", "display_name"), False),
    ("a command of 32", put("/" + "x" * 31, *COMMAND, "command"), True),
    ("a command of 33", put("/" + "x" * 32, *COMMAND, "command"), False),
    ("a command without a slash", put("incident", *COMMAND, "command"), False),
    ("a command without words", without(*COMMAND, "description"), False),
    ("a command with empty words", put("", *COMMAND, "description"), False),
    ("a command at no address", put("muster.example.com", *COMMAND, "url"), False),
    ("a command by Socket Mode", without(*COMMAND, "url"), True),
    ("a hint of 1,001", put("x" * 1_001, *COMMAND, "usage_hint"), False),
    ("an escape that is a word", put("yes", *COMMAND, "should_escape"), False),
    ("a field that no command has", put("red", *COMMAND, "colour"), False),
    ("a shortcut of 24", put("x" * 24, *SHORTCUT, "name"), True),
    ("a shortcut of 25", put("x" * 25, *SHORTCUT, "name"), False),
    ("a shortcut for files", put("file", *SHORTCUT, "type"), False),
    ("a shortcut without an id", without(*SHORTCUT, "callback_id"), False),
    ("a shortcut with 151 words", put("x" * 151, *SHORTCUT, "description"), False),
    ("11 shortcuts", put([{"name": "x", "type": "global", "callback_id": f"c{n}", "description": "x"} for n in range(11)],
                         "features", "shortcuts"), False),
    ("no shortcuts", put([], "features", "shortcuts"), False),
    ("an event twice", put(["app_mention", "app_mention"], *EVENTS, "bot_events"), False),
    ("events at no address", put("ftp://muster.example.com", *EVENTS, "request_url"), False),
    ("interactivity that does not say", without("settings", "interactivity", "is_enabled"), False),
    ("Socket Mode as a word", put("on", "settings", "socket_mode_enabled"), False),
    ("a part that no manifest has", put({}, "extras"), False),
    ("a feature that no app has", put({}, "features", "telepathy"), False),
]  # fmt: skip


@pytest.mark.parametrize(("change", "good"), [row[1:] for row in MANIFESTS], ids=[row[0] for row in MANIFESTS])
@pytest.mark.parametrize("version", ["1", "2"])
def test_a_manifest_is_judged_alike(contracts: Path, version: str, change: Callable[[Json], None], good: bool) -> None:
    """What this sandbox would install is what Slack's own schemas take. (Scopes and events are judged here alone.)"""
    schema = json.loads((contracts / f"slack-manifest.schema.{version}.json").read_text("utf-8"))
    changed = copy.deepcopy(manifest())
    change(changed)
    assert Draft7Validator(schema, format_checker=FormatChecker()).is_valid(changed) == good
    if good:
        read_manifest(changed)
    else:
        with pytest.raises(ConfigError, match="would not install"):
            read_manifest(changed)


# -- rate limits -------------------------------------------------------------------------------------------------------

TIERS = {"Tier1": TIER_1, "Tier2": TIER_2, "Tier3": TIER_3, "Tier4": TIER_4}


@pytest.fixture
def tiers(contracts: Path) -> dict[str, str]:
    """Method → tier, as Slack's Java SDK has them."""
    found: dict[str, str] = json.loads((contracts / "slack-rate-limit-tiers.json").read_text("utf-8"))
    return found


@pytest.fixture
def still(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox with its limits on and its clock stopped: on a slow machine no bucket fills meanwhile."""
    began_at = sandbox.clock.now()
    monkeypatch.setattr(sandbox.clock, "now", lambda: began_at + sandbox.clock.offset_s)
    sandbox.rate_limits = True
    return sandbox


@pytest.mark.parametrize("method", sorted(all_methods()))
def test_a_method_is_in_its_tier(tiers: dict[str, str], method: str) -> None:
    """Each method of the stand-in takes as many calls a minute as the contract says; the special ones have their own."""
    if tiers[method].startswith("SpecialTier"):
        assert method == "chat.postMessage" or PER_MINUTE[method] == SPECIAL
    else:
        assert PER_MINUTE.get(method, TIER_3) == TIERS[tiers[method]]


def test_every_method_that_muster_uses_is_there() -> None:
    """Otherwise its tier would not matter."""
    assert methods_used() <= set(all_methods())


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("users.list", {}),
        ("bookmarks.list", {"channel_id": "C0SUPPORT"}),
        ("users.info", {"user": "U0ONCALL"}),
        ("conversations.setTopic", {"channel": "C0SUPPORT", "topic": "x"}),
        ("conversations.open", {"users": "U0ONCALL"}),
    ],
)
async def test_a_tier_is_kept(still: Sandbox, slack: AsyncWebClient, tiers: dict[str, str], method: str, arguments: Json) -> None:
    """So many calls, and the next one is 429 with the seconds to wait; after these it is taken."""
    most = TIERS[tiers[method]]
    assert [await refusal_of(slack, method, arguments) for _ in range(most)] == [None] * most
    with pytest.raises(SlackApiError) as refused:
        await slack.api_call(method, json=arguments)
    assert (refused.value.response.status_code, refused.value.response["error"]) == (429, "ratelimited")
    await still.clock.advance(int(refused.value.response.headers["Retry-After"]))
    assert await refusal_of(slack, method, arguments) is None


async def test_one_channel_by_three_names_has_one_limit(still: Sandbox, slack: AsyncWebClient) -> None:
    """One message a second in a channel, with a short burst, however the channel is named."""
    for _ in range(POST_BURST):
        await slack.chat_postMessage(channel="U0ONCALL", text="hi")
    room = still.workspace.im("oncall").id
    assert await refusal_of(slack, "chat.postMessage", {"channel": room, "text": "hi"}) == "ratelimited"
    for name in ("#support", "support", "C0SUPPORT", "#support", "support"):
        assert await refusal_of(slack, "chat.postMessage", {"channel": name, "text": "hi"}) is None
    assert await refusal_of(slack, "chat.postMessage", {"channel": "C0SUPPORT", "text": "hi"}) == "ratelimited"


async def test_all_channels_together_have_a_limit(still: Sandbox, slack: AsyncWebClient) -> None:
    """Several hundred messages a minute in the whole workspace, though no channel has too many."""
    rooms = [(await still.workspace.create_channel("cto", f"room-{number}")).ok for number in range(POSTS // POST_BURST)]
    assert all(rooms)
    asked = [{"channel": f"room-{number}", "text": "hi"} for number in range(len(rooms)) for _ in range(POST_BURST)]
    answers = {await refusal_of(slack, "chat.postMessage", arguments) for arguments in asked}
    assert answers == {"not_in_channel"}  # a refusal counts: Slack counts calls, not messages
    assert await refusal_of(slack, "chat.postMessage", {"channel": "C0SUPPORT", "text": "hi"}) == "ratelimited"
    await still.clock.advance(1)
    assert await refusal_of(slack, "chat.postMessage", {"channel": "C0SUPPORT", "text": "hi"}) is None


# -- what the bot gets -------------------------------------------------------------------------------------------------

# (the payload that Slack really sent, our kind of it, its subtype)
PAYLOADS: list[tuple[str, str, str | None]] = [
    ("test_message.message_body", "message", None),
    ("test_events.app_mention_body", "app_mention", None),
    ("test_app.app_mention_event_body", "app_mention", None),
    ("test_events_socket_mode.app_mention_body", "app_mention", None),
    ("test_message_changed.event_payload", "message", "message_changed"),
    ("test_message_deleted.event_payload", "message", "message_deleted"),
    ("test_events.reaction_added_body", "reaction_added", None),
    ("test_block_actions.body", "block_actions", None),
    ("test_authorize.block_actions_body", "block_actions", None),
    ("test_shortcut.global_shortcut_body", "shortcut", None),
    ("test_shortcut.message_shortcut_body", "message_action", None),
    ("test_view_closed.body", "view_closed", None),
]


@pytest.fixture
async def day(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> TinyBot:
    """A bot to which everything of that has happened once."""
    people = sandbox.workspace
    said_ts = (await people.say("developer", "support", "hello @muster")).ts or ""
    named_ts = (await people.say("developer", "support", "@muster hello")).ts or ""
    await people.react("oncall", "support", said_ts, "eyes")
    await people.shortcut("oncall", "from_message", "support", named_ts)
    await people.shortcut("oncall", "open")
    await people.edit("developer", "support", said_ts, "updated")
    await people.delete("developer", "support", said_ts)
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="card", blocks=[actions(button(value="1"))]))["ts"]
    await people.click("oncall", "support", ts, "go")
    form = modal(field(WORDS, optional=True), notify_on_close=True, close=text("Cancel"))
    view = await slack.views_open(trigger_id=bot.interactions("block_actions")[0]["trigger_id"], view=form)
    await people.close_view("oncall", view["view"]["id"])
    await sandbox.settled()
    return bot


@pytest.mark.parametrize(("fixture", "kind", "subtype"), PAYLOADS, ids=[row[0] for row in PAYLOADS])
async def test_what_the_bot_gets_has_all_that_slack_sends(
    day: TinyBot, contracts: Path, fixture: str, kind: str, subtype: str | None
) -> None:
    """No field of the real payload is missing in ours, and none has another type."""
    real = json.loads((contracts / "slack-payload-fixtures.json").read_text("utf-8"))[fixture]
    ours = [
        one.payload
        for one in day.received
        if kind in (one.payload.get("type"), one.event.get("type")) and one.event.get("subtype") == subtype
    ]
    assert missing(real, ours[0]) == []


def test_there_are_at_least_sixty_known_answers() -> None:
    """Rows that a contract judges, tiers not counted."""
    assert len(MESSAGES) + len(VIEWS) + len(MANIFESTS) + len(PAYLOADS) >= 60
