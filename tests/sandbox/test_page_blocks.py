"""Text and Block Kit on the page, in a real browser: known answers for mrkdwn and dates, every block, and what is not known."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import re

from bot.sandbox.seed import DEVELOPER
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
from tests.sandbox.tiny_bot import section

if importlib.util.find_spec("playwright"):
    from playwright.async_api import expect

pytestmark = [ONE_LOOP]

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
    drawn = await asyncio.wait_for(page.evaluate(RENDER, hostile), timeout=20)
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
    """LICENSES names package, version and digest of the one file that is not ours."""
    named = (PAGE / "LICENSES").read_text()
    vendored = list((PAGE / "js" / "vendor").iterdir())
    assert [file.name for file in vendored] == ["htm-preact-standalone.js"]
    assert hashlib.sha256(vendored[0].read_bytes()).hexdigest() in named


async def test_the_page_never_turns_text_into_markup() -> None:
    """No module of ours uses the ways by which a string becomes HTML or code."""
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|document\.write|\beval\(|new Function")
    assert [file.name for file in (PAGE / "js").glob("*.js") if ways.search(file.read_text())] == []
