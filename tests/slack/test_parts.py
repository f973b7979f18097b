"""The pieces of messages: escaped once, cut to Slack's limits, packed into pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.slack.blocks import parts
from bot.slack.drawing import Block
from tests.conftest import at
from tests.contracts.payloads import faults_of_message
from tests.slack.conftest import HOSTILE


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a & b", "a &amp; b"),
        ("<!channel>", "&lt;!channel&gt;"),
        ("&lt;!channel&gt;", "&amp;lt;!channel&amp;gt;"),
        ("<@U1> <https://evil.example|Approve>", "&lt;@U1&gt; &lt;https://evil.example|Approve&gt;"),
        ("", ""),
    ],
)
def test_text_is_escaped_once(text: str, escaped: str) -> None:
    """Ampersand first: what was escaped before stays visible as such."""
    assert parts.escape(text) == escaped


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("x" * 2_998 + "&amp;", "…"),
        ("x" * 2_997 + "&lt;tail", "x…"),
        ("x" * 2_980 + "<!date^1700000000^{time}|03:00>", "x…"),
        ("x" * 2_980 + "<@U0LEAD><@U0LEAD><@U0LEAD>", "<@U0LEAD>…"),
        ("x" * 4_000, "x…"),
    ],
)
def test_a_cut_leaves_no_half_entity_and_no_half_link(text: str, ends: str) -> None:
    """A torn ``&am`` or ``<@U`` would be shown as such."""
    shown = parts.mrkdwn(text)["text"]
    assert len(shown) <= parts.SECTION_MAX_CHARS
    assert shown.endswith(ends)
    assert shown.count("<") == shown.count(">")
    assert shown.count("&") == shown.count(";")


def test_a_cut_never_splits_a_composed_character() -> None:
    """A family of four stays a family, or goes."""
    family = "👩‍👩‍👧‍👦"
    shown = parts.plain("x" * 145 + family, max_chars=150)["text"]
    assert shown in ("x" * 145 + "…", "x" * 145 + family)


@pytest.mark.parametrize("length", [0, 1, 74, 75, 76, 150, 151, 3_000, 3_001, 10_000])
def test_every_piece_keeps_its_limit(contracts: Path, length: int) -> None:
    """Whatever length goes in, Slack takes what comes out."""
    text = "x" * length
    blocks: list[Block] = [
        parts.header(text),
        parts.section(text, block_id="s", accessory=parts.button(text, "a", value="inc-1")),
        parts.fields([text] * 3),
        parts.context(text),
        parts.actions(
            [
                parts.button(text, "go", value="inc-1", style="primary"),
                parts.select(text, "pick", [parts.option(text, "one")], initial=parts.option(text, "one")),
            ],
            block_id="row",
        ),
    ]
    for block in blocks:
        assert faults_of_message({"text": "hi", "blocks": [block]}) == []


def test_more_than_fits_is_left_out() -> None:
    """Ten fields, ten elements of context, 25 buttons, 100 options."""
    assert len(parts.fields(["x"] * 12)["fields"]) == 10
    assert len(parts.context(*["x"] * 12)["elements"]) == 10
    assert len(parts.actions([parts.button("x", f"a:{n}", value="v") for n in range(30)], block_id="b")["elements"]) == 25
    assert len(parts.select("x", "a", [parts.option("x", str(n)) for n in range(120)])["options"]) == 100


def test_pages_keep_both_limits_and_tear_no_group() -> None:
    """At most 50 blocks and 12,000 characters each; what belongs together stays together, in its order."""
    groups = [[parts.section(f"{number} " + "x" * 400), parts.divider()] for number in range(120)]
    packed = parts.pages(groups)
    assert [block for page in packed for block in page] == [block for group in groups for block in group]
    for page in packed:
        assert len(page) <= parts.BLOCKS_MAX
        assert parts.text_length(page) <= parts.MESSAGE_BLOCKS_MAX_CHARS
        assert page[0]["type"] == "section"
        assert page[-1]["type"] == "divider"


def test_pages_of_nothing_are_one_empty_page() -> None:
    """A message without blocks."""
    assert parts.pages([]) == [[]]


def test_paragraphs_lose_no_line() -> None:
    """As few sections as hold them."""
    lines = [f"{number} " + "x" * 700 for number in range(9)]
    blocks = parts.paragraphs(lines)
    assert "\n".join(block["text"]["text"] for block in blocks).split("\n") == lines
    assert len(blocks) == 3


def test_the_length_of_texts_counts_every_text() -> None:
    """Buttons, fields and options too."""
    blocks = [parts.section("abc"), parts.fields(["de", "f"]), parts.actions([parts.button("gh", "a", value="v")], block_id="b")]
    assert parts.text_length(blocks) == 8


def test_a_moment_is_shown_in_the_readers_time_zone() -> None:
    """With a fall-back for those who cannot."""
    assert parts.when(at()) == "<!date^1795143600^{date_short_pretty} {time}|2026-11-20 03:00 UTC>"


@pytest.mark.parametrize(
    ("user_id", "shown"), [("U0LEAD", "<@U0LEAD>"), ("muster", "Muster"), ("U1> <!here", "U1&gt; &lt;!here")]
)
def test_only_an_id_becomes_a_mention(user_id: str, shown: str) -> None:
    """ "muster" and "terminal" are no users, and nothing else becomes markup."""
    assert parts.person(user_id).casefold() == shown.casefold()
    if shown.startswith("<@"):
        assert parts.person(user_id) == shown


@pytest.mark.parametrize(("done", "total", "shown"), [(0, 0, "░" * 10), (0, 7, "░" * 10), (7, 7, "█" * 10), (1, 2, "█████░░░░░")])
def test_the_bar_shows_the_share(done: int, total: int, shown: str) -> None:
    """Also of nothing."""
    assert parts.bar(done, total) == shown


def test_hostile_text_in_plain_text_stays_as_it_is() -> None:
    """Slack interprets nothing there."""
    assert parts.plain(HOSTILE) == {"type": "plain_text", "text": HOSTILE, "emoji": True}
