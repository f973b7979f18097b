"""Text and Block Kit on the page, in a real browser: known answers for mrkdwn and dates, every block, and what is not known."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import re
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.seed import DEVELOPER, ONCALL
from bot.sandbox.server import PAGE, Sandbox
from tests.sandbox.browsing import (  # noqa: F401 - fixtures among them
    ONE_LOOP,
    Windows,
    one_chromium,
    page_bot,
    page_sandbox,
    page_slack,
    page_windows,
    page_world,
)
from tests.sandbox.tiny_bot import actions, button, option, section, select, text

if importlib.util.find_spec("playwright"):
    from playwright.async_api import expect

pytestmark = [ONE_LOOP, pytest.mark.slow]

AT = '<time title="Tuesday, November 14, 2023 at 22:13:20">'
OUT = 'target="_blank" rel="noopener noreferrer"'
MRKDWN = {
    "plain & simple": "plain &amp; simple",
    "*bold* _it_ ~gone~ `a*b*`": "<strong>bold</strong> <em>it</em> <s>gone</s> <code>a*b*</code>",
    "*bold _and it_*": "<strong>bold <em>and it</em></strong>",
    "snake_case_name 2*3*4 a * b * c": "snake_case_name 2*3*4 a * b * c",
    "&lt;b&gt; &amp;amp;": "&lt;b&gt; &amp;amp;",
    "a\nb": "a<br>b",
    "&gt; said\nnot": "<blockquote>said</blockquote>not",
    "x ```a\n*b* <c>``` y": 'x <pre class="preformatted">a\n*b* &lt;c&gt;</pre> y',
    ":fire: :no_such_thing: 10:30:00": "🔥 :no_such_thing: 10:30:00",
    "<https://e.com/?a=1&amp;b=2|the *site*>": f'<a href="https://e.com/?a=1&amp;b=2" {OUT}>the *site*</a>',
    "see https://e.com/x.": f'see <a href="https://e.com/x" {OUT}>https://e.com/x</a>.',
    "<javascript:alert(1)|x>": '<span class="unsafe-link" title="This address is not opened">x</span>',
    "<!here> <!nonsense> <b>": '<span class="mention mention-me">@here</span> &lt;!nonsense&gt; &lt;b&gt;',
    "<!date^1700000000^{date_num} {time_secs}|later>": AT + "2023-11-14 22:13:20</time>",
    "<!date^1700000000^{date_short_pretty} {time}|later>": AT + "Yesterday 22:13</time>",
    "<!date^1700000000^in {ago}|later>": AT + "in 1 day ago</time>",
    "<!date^soon^{time}|later>": '<time title="later">later</time>',
}
RENDER = """async (texts) => {
  const { h, render } = await import("/static/js/vendor/htm-preact-standalone.js");
  const { mrkdwn } = await import("/static/js/mrkdwn.js");
  const scope = { users: new Map(), channels: new Map(), now_s: () => 1700086400 };
  return texts.map((text) => {
    const box = document.createElement("div");
    render(h("div", null, mrkdwn(text, scope)), box);
    return box.firstChild.innerHTML;
  });
}"""


async def test_mrkdwn_reads_as_in_slack(windows: Windows) -> None:
    """Known answers for formatting, escapes, links, dates and emoji, in UTC."""
    context = await windows.chromium.new_context(timezone_id="UTC")
    windows.contexts.append(context)
    page = await context.new_page()
    await page.goto(windows.url)
    drawn = await page.evaluate(RENDER, list(MRKDWN))
    assert dict(zip(MRKDWN, drawn, strict=True)) == MRKDWN


async def test_marks_without_end_do_not_stop_the_page(windows: Windows) -> None:
    """A hostile text of 40,000 marks is drawn within the test's time: no endless nesting, no quadratic search."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    hostile = ["*a _" * 10_000, "<" * 40_000, "`" * 39_999, "> " * 20_000, ":a" * 20_000, "*_~" * 13_000]
    drawn = await asyncio.wait_for(page.evaluate(RENDER, hostile), timeout=40)
    assert [len(shown) > 0 for shown in drawn] == [True] * len(hostile)


async def test_what_cannot_be_drawn_is_shown_as_it_was_sent(windows: Windows, sandbox: Sandbox) -> None:
    """An unknown block and a malformed one become boxes of JSON; the rest of the message is drawn."""
    blocks = [{"type": "hologram", "depth": 3}, {"type": "section", "fields": "no list"}, section("still here")]
    sandbox.state.post_as_bot("C0SUPPORT", "odd", blocks=blocks)
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await expect(page.get_by_text("still here")).to_be_visible()
    await expect(page.locator(".raw")).to_have_count(2)
    await expect(page.locator(".raw").first).to_contain_text('"depth": 3')


async def test_the_vendored_library_is_the_one_that_is_named() -> None:
    """LICENSES names package, version and digest of each file that is not ours."""
    named = (PAGE / "LICENSES").read_text()
    vendored = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (PAGE / "js" / "vendor").iterdir()}
    assert {name: f"js/vendor/{name}\n" in named and digest in named for name, digest in vendored.items()} == {
        "htm-preact-standalone.js": True,
        "emoji-iamcal.json": True,
    }


async def test_the_page_never_turns_text_into_markup() -> None:
    """No module of ours uses the ways by which a string becomes HTML or code."""
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|document\.write|\beval\(|new Function")
    assert [file.name for file in (PAGE / "js").glob("*.js") if ways.search(file.read_text())] == []


DATES = {
    "{date_num} {date_slash}": "2023-11-14 14/11/2023",
    "{date}, {date_short}, {date_long}": "November 14th, Nov 14, Tuesday, November 14th",
    "{date_long_full} at {time}": "November 14, 2023 at 22:13",
    "{date_pretty} or {date_short_pretty}": "Yesterday or yesterday",
    "{date_long_pretty}": "Yesterday",
    "{day_divider_pretty}": "Yesterday",
    "{time_secs} {ago}": "22:13:20 1 day ago",
    "{nothing}": "{nothing}",
}
FORMATTED = """async (formats) => {
  const { formatSlackDate } = await import("/static/js/dates.js");
  const day = 86400, then = 1700000000;
  const far = "{date}; {date_short}; {date_long}; {day_divider_pretty}";
  return [formats.map((format) => formatSlackDate(then, format, then + day)), formatSlackDate(then, far, then + 300 * day)];
}"""
LONG_AGO = "November 14th, 2023; Nov 14, 2023; Tuesday, November 14th, 2023; Tuesday, November 14th, 2023"


async def test_every_token_of_a_date_is_written_as_slack_does(windows: Windows) -> None:
    """In the reader's own zone; the year is left out within half a year; a token that does not exist stays."""
    context = await windows.chromium.new_context(timezone_id="UTC")
    windows.contexts.append(context)
    page = await context.new_page()
    await page.goto(windows.url)
    near, far = await page.evaluate(FORMATTED, list(DATES))
    assert dict(zip(DATES, near, strict=True)) == DATES
    assert far == LONG_AGO


def rich(*elements: dict[str, Any], kind: str = "rich_text_section", **more: Any) -> dict[str, Any]:
    """A part of a rich_text block."""
    return {"type": kind, "elements": list(elements), **more}


def words(content: str, **style: bool) -> dict[str, Any]:
    """A leaf of a rich text."""
    return {"type": "text", "text": content, **({"style": style} if style else {})}


PLAIN_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
EVERY_ELEMENT: list[dict[str, Any]] = [
    button("plain"),
    button("leads", url="https://example.com/", style="primary"),
    {"type": "overflow", "action_id": "menu", "options": [option("skip")]},
    select("one", action_id="select"),
    {"type": "static_select", "action_id": "grouped", "option_groups": [{"label": text("Group"), "options": [option("in it")]}]},
    {"type": "multi_static_select", "action_id": "multi", "options": [option("many")]},
    *(
        {"type": f"{many}{kind}_select", "action_id": many + kind}
        for kind in ("users", "channels", "conversations")
        for many in ("", "multi_")
    ),
    {"type": "checkboxes", "action_id": "checks", "options": [option("checked")]},
    {"type": "radio_buttons", "action_id": "radio", "options": [option("tuned")]},
    *({"type": kind, "action_id": kind} for kind in ("datepicker", "timepicker", "datetimepicker")),
]
EVERY_BLOCK: list[dict[str, Any]] = [
    {"type": "header", "text": text("Header :fire:")},
    section("*mrkdwn*", fields=[text("first field"), text("second field")], accessory=button("side")),
    section("beside", accessory={"type": "image", "image_url": PLAIN_PICTURE, "alt_text": "a dot"}),
    {"type": "divider"},
    {
        "type": "context",
        "elements": [text("small"), text("*words*", "mrkdwn"), {"type": "image", "image_url": PLAIN_PICTURE, "alt_text": "dot"}],
    },
    {"type": "image", "image_url": "https://example.com/chart.png", "alt_text": "a chart from elsewhere", "title": text("Chart")},
    {
        "type": "video",
        "title": text("The film"),
        "title_url": "https://example.com/film",
        "video_url": "https://example.com/embed",
        "thumbnail_url": "https://example.com/film.png",
        "alt_text": "a film",
        "description": text("of the outage"),
    },
    {
        "type": "rich_text",
        "elements": [
            rich(words("bold", bold=True), words("lean", italic=True), words("gone", strike=True), words("typed", code=True)),
            rich(
                {"type": "user", "user_id": ONCALL},
                {"type": "channel", "channel_id": "C0SUPPORT"},
                {"type": "broadcast", "range": "here"},
            ),
            rich(
                {"type": "link", "url": "https://example.com/", "text": "a link"},
                {"type": "emoji", "name": "wave", "skin_tone": 3},
            ),
            rich({"type": "usergroup", "usergroup_id": "S0GROUP"}, {"type": "date", "timestamp": 0, "format": "{date_num}"}),
            rich(rich(words("first")), rich(words("second")), kind="rich_text_list", style="ordered"),
            rich(rich(words("dot")), kind="rich_text_list", style="bullet", indent=1),
            rich(words("a < b"), kind="rich_text_preformatted"),
            rich(words("said"), kind="rich_text_quote"),
        ],
    },
    {"type": "table", "rows": [[{"type": "raw_text", "text": "Head"}], [{"type": "raw_text", "text": "Cell"}]]},
    actions(*EVERY_ELEMENT),
]


async def test_every_block_and_element_is_drawn(windows: Windows, sandbox: Sandbox) -> None:
    """One message with all of them: each by its role and words, none as a box of JSON; pictures from elsewhere are named."""
    sandbox.state.post_as_bot("C0SUPPORT", "all", blocks=EVERY_BLOCK)
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    message = page.locator("article")
    await expect(message.get_by_role("heading", name="Header 🔥")).to_be_visible()
    await expect(page.locator(".raw")).to_have_count(0)
    for shown in (
        "first field",
        "a chart from elsewhere",
        "The film",
        "of the outage",
        "bold",
        "👋🏼",
        "@here",
        "1970-01-01",
        "a < b",
    ):
        await expect(message.get_by_text(shown, exact=False).first).to_be_visible()
    for role, name in (
        ("link", "The film"),
        ("link", "Go"),
        ("img", "a dot"),
        ("cell", "Cell"),
        ("columnheader", "Head"),
        ("checkbox", "checked"),
        ("radio", "tuned"),
        ("button", "More actions"),
        ("button", "@On-call engineer"),
    ):
        await expect(message.get_by_role(role, name=name, exact=True).first).to_be_visible()
    await expect(message.locator("ol > li")).to_have_text(["first", "second"])
    await expect(message.locator(".picker-button")).to_have_count(9)
    await expect(message.locator("input[type=date], input[type=time], input[type=datetime-local]")).to_have_count(3)
    await message.get_by_role("button", name="Choose: Select an option").nth(1).click()
    await expect(page.get_by_role("group", name="Group").get_by_role("option", name="in it")).to_be_visible()


async def test_an_element_that_nobody_knows_is_shown_as_it_was_sent(windows: Windows, sandbox: Sandbox) -> None:
    """Invented ones in every place that takes one, each in a labelled box; what stands beside them is drawn and works."""
    odd = {"type": "crystal_ball", "depth": 7}
    blocks = [
        actions(odd, button("beside")),
        section("with it", accessory=odd),
        {"type": "context", "elements": [odd, text("small words")]},
        {"type": "input", "block_id": "in", "label": text("Label"), "element": odd},
        {"type": "rich_text", "elements": [rich(odd, words("rich words")), {"type": "rich_text_spiral", "elements": []}]},
        {"type": "select", "options": None},
        actions({"type": "static_select", "action_id": "no options"}),
    ]
    sandbox.state.post_as_bot("C0SUPPORT", "odd", blocks=blocks)
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await expect(page.get_by_role("button", name="Go", exact=True)).to_be_visible()
    for shown in ("with it", "small words", "rich words", "Label"):
        await expect(page.locator("article")).to_contain_text(shown)
    titles = page.locator(".raw-title")
    await expect(titles.filter(has_text="Element “crystal_ball”: shown as it was sent")).to_have_count(4)
    await expect(titles.filter(has_text="Text “crystal_ball”")).to_have_count(1)
    await expect(titles.filter(has_text="Text “rich_text_spiral”")).to_have_count(1)
    await expect(titles.filter(has_text="Block “select”")).to_have_count(1)
    await expect(titles.filter(has_text="Block “actions”")).to_have_count(1)
    await expect(page.locator(".raw", has_text='"depth": 7')).to_have_count(5)


NAMES = """async (names) => {
  const { emoji, withEmoji } = await import("/static/js/emoji.js");
  return [names.map((name) => emoji(name)), withEmoji(":wave::skin-tone-6: :no_such: 12:30:45 :+1: :warning:")];
}"""


async def test_emoji_are_drawn_by_slacks_own_names(windows: Windows) -> None:
    """Short names, aliases, skin colours, flags; signs that would be text are made pictures; what nobody knows stays."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    known = {"rotating_light": "🚨", "thumbsup": "👍", "flag-de": "🇩🇪", "female-technologist": "👩‍💻", "one": "1️⃣", "heart": "❤️"}
    drawn, in_words = await page.evaluate(NAMES, list(known))
    assert dict(zip(known, drawn, strict=True)) == known
    assert in_words == "👋🏿 :no_such: 12:30:45 👍 ⚠️"


async def test_reactions_files_bookmarks_and_the_topic_are_shown(
    windows: Windows, sandbox: Sandbox, slack: AsyncWebClient
) -> None:
    """A reaction is put and taken back by a click, counted for everybody; a picture is shown, another file named and weighed."""
    sandbox.state.post_as_bot(
        "C0SUPPORT",
        "",
        attachments=[
            {
                "color": "#c8203b",
                "title": "Alert",
                "title_link": "https://example.com/a",
                "fields": [{"title": "Host", "value": "*web*"}],
            }
        ],
        files=[
            {"id": "F1", "name": "dot.gif", "mimetype": "image/gif", "url_private": PLAIN_PICTURE},
            {
                "id": "F2",
                "name": "timeline.md",
                "mimetype": "text/markdown",
                "filetype": "md",
                "size": 20480,
                "url_private": "/files/F2/t.md",
            },
        ],
    )
    await slack.conversations_setTopic(channel="C0SUPPORT", topic=f"SEV1 <https://example.com/|status> <@{ONCALL}> :fire:")
    await slack.bookmarks_add(channel_id="C0SUPPORT", title="Runbook", type="link", link="https://example.com/", emoji=":book:")
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    other = await windows.open(ONCALL, "C0SUPPORT")
    message = page.locator("article", has_text="Alert")
    await expect(message.get_by_role("img", name="dot.gif")).to_be_visible()
    await expect(message.get_by_role("link", name="timeline.md md · 20 kB")).to_be_visible()
    await expect(message.get_by_role("link", name="Alert")).to_be_visible()
    await expect(message.locator(".field strong").last).to_have_text("web")
    await expect(page.locator(".channel-topic")).to_have_text("SEV1 status @On-call engineer 🔥")
    await expect(page.get_by_role("list", name="Bookmarks")).to_have_text("📖Runbook")

    await message.hover()
    await message.get_by_role("button", name="Add a reaction").click()
    await page.get_by_role("menuitem", name="eyes").click()
    there = other.locator("article", has_text="Alert").get_by_role("button", name="👀 1")
    await expect(there).to_have_attribute("aria-pressed", "false")
    await there.click()
    mine = message.get_by_role("button", name="👀 2")
    await expect(mine).to_have_attribute("aria-pressed", "true")
    await mine.click()
    await expect(other.get_by_role("button", name="👀 1")).to_have_attribute("aria-pressed", "true")
