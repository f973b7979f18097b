"""What of a runbook does not fit into Slack: predicted from its texts, before anybody meets a cut sentence at 3 am.

A rule of `runbook_rules`. The messages are drawn in `bot.slack.blocks`, which storage does not import; here their sizes are
estimated from above: the worst branch taken, nothing ticked off yet, every result as long as a result may be. The limits are
Slack's own, docs.slack.dev/reference/block-kit, each with its page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.domain.runbook import Branch, Link, Runbook, Step
from bot.domain.text import TITLE_MAX_CHARS
from bot.storage.findings import Finding, Surroundings
from bot.storage.yaml_strict import YamlPath

MESSAGE_MAX_BLOCKS = 50
"""reference/block-kit/blocks: "up to 50 blocks in each message"."""
MESSAGE_MAX_CHARS = 12_000
"""All texts of a message's blocks. Slack refuses at about 13,200, undocumented: github.com/slackapi/bolt-js/issues/2509."""
SECTION_MAX_CHARS = 3_000
"""reference/block-kit/blocks/section-block, ``text``."""
BUTTON_MAX_CHARS = 75
"""reference/block-kit/block-elements/button-element, ``text``."""
ROW_MAX_ELEMENTS = 25
"""reference/block-kit/blocks/actions-block, ``elements``."""
MENU_MAX_OPTIONS = 100
"""reference/block-kit/block-elements/select-menu-element, ``options``."""

SUGGESTED_CHARS = len(" (suggested)")
_INDENT_CHARS = 2
_HEAD_BLOCKS = 7
"""Header, fields, escalation, what is next, the choice of a runbook, buttons, and one to spare."""
_HEAD_CHARS = 2_000
"""Without the titles: eight fields, twelve responders, the ladder, the buttons."""
_CLOCK_CHARS = 52
"""``<!date^1700000000^{time}|2026-11-20 03:00 UTC>``, and what is around it."""
_SUMMARY_CHARS = 300
"""`bot.domain.outcome.Outcome.summary`, at most."""
_REMEDY_CHARS = 150
_VALUE_CHARS = 60
_LINE_CHARS = 20
"""A mark, the number of a step, stars, a line break."""
_STEP_BUTTONS_CHARS = 20


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks that stay together in one message."""

    blocks: int
    chars: int


def fits_into_slack(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """Titles, steps, results, symptoms and the whole card against the limits."""
    yield from _long_title(runbook)
    yield from _long_symptoms(runbook)
    yield from _long_diagnosis(runbook)
    for path, step, depth in _walk(("checklist",), runbook.checklist, 0):
        yield from _long_step(path, runbook, step, depth)
        yield from _choices(path, step)
    yield from _long_card(runbook)


def _cut(path: YamlPath, what: str, chars: int, most: int, remedy: str) -> Finding:
    message = f"{what} {chars:,} characters, and Slack shows {most:,}: the end is cut"
    return Finding(path=path, message=message, remedy=remedy, level="warning")


def _long_title(runbook: Runbook) -> Iterator[Finding]:
    if len(runbook.title) > TITLE_MAX_CHARS:
        message = f"the title has {len(runbook.title)} characters; an incident's title is cut at {TITLE_MAX_CHARS}"
        yield Finding(path=("title",), message=message, remedy="say it shorter", level="warning")


def _long_symptoms(runbook: Runbook) -> Iterator[Finding]:
    chars = len("*Symptoms*") + sum(_escaped(text) + 3 for text in runbook.symptoms)
    if chars > SECTION_MAX_CHARS:
        yield _cut(("symptoms",), "the symptoms have", chars, SECTION_MAX_CHARS, "keep those that people really say")


def _long_diagnosis(runbook: Runbook) -> Iterator[Finding]:
    chars = _diagnosis_chars(runbook)
    if chars > SECTION_MAX_CHARS:
        what = f"the results of {len(runbook.diagnostics)} diagnostics may need up to"
        yield _cut(("diagnostics",), what, chars, SECTION_MAX_CHARS, "keep those that decide what to do next")


def _diagnosis_chars(runbook: Runbook) -> int:
    each = _LINE_CHARS + len("unknown") + _SUMMARY_CHARS + _CLOCK_CHARS + _REMEDY_CHARS
    return len("*Diagnosis*") + sum(_escaped(item.title) + each for item in runbook.diagnostics)


def _long_step(path: YamlPath, runbook: Runbook, step: Step, depth: int) -> Iterator[Finding]:
    chars = _step_chars(runbook, step, depth)
    if chars > SECTION_MAX_CHARS:
        what = f"the step “{step.id}” may need up to"
        yield _cut(path, what, chars, SECTION_MAX_CHARS, "make two steps of it, or move text to a page and link it")


def _choices(path: YamlPath, step: Step) -> Iterator[Finding]:
    most = ROW_MAX_ELEMENTS - 1  # one is Skip
    if len(step.choose) > most:
        extra = step.choose[most]
        message = f"the branch “{extra.id}” can never be chosen: Slack shows {ROW_MAX_ELEMENTS} buttons in a row, one is Skip"
        yield Finding(path=(*path, "choose", most), message=message, remedy="make two choices of it")
    for number, branch in enumerate(step.choose):
        chars = len(branch.title) + (SUGGESTED_CHARS if branch.suggested_when else 0)
        if chars > BUTTON_MAX_CHARS:
            here = (*path, "choose", number, "title")
            yield _cut(here, "the button of this branch needs", chars, BUTTON_MAX_CHARS, "say it shorter")


def _long_card(runbook: Runbook) -> Iterator[Finding]:
    groups = list(card_groups(runbook))
    messages = _packed(groups)
    if messages > 1:
        blocks, chars = sum(group.blocks for group in groups), sum(group.chars for group in groups)
        message = (
            f"its card may need {messages} messages: up to {blocks} blocks and {chars:,} characters, "
            f"and Slack takes {MESSAGE_MAX_BLOCKS} and {MESSAGE_MAX_CHARS:,} in one"
        )
        remedy = "shorten the guides, or put steps into branches: what is below the first message is easily overlooked"
        yield Finding(path=("checklist",), message=message, remedy=remedy, level="warning")


def card_groups(runbook: Runbook) -> Iterator[Group]:
    """The card from above: what stays together, with at least as many blocks and characters as it will have."""
    yield Group(_HEAD_BLOCKS, _HEAD_CHARS + 2 * _escaped(runbook.title))
    if runbook.diagnostics:
        yield Group(2, min(_diagnosis_chars(runbook), SECTION_MAX_CHARS))
        yield Group(1, _STEP_BUTTONS_CHARS)
    yield Group(2, _LINE_CHARS)
    yield from _visible(runbook, runbook.checklist, 0)


def _visible(runbook: Runbook, steps: tuple[Step, ...], depth: int) -> Iterator[Group]:
    """The steps that people see at once; of each choice, its longest branch."""
    for step in steps:
        chars = min(_step_chars(runbook, step, depth), SECTION_MAX_CHARS)
        if step.steps:
            yield Group(1, chars)
        else:
            ways = sum(min(len(branch.title) + SUGGESTED_CHARS, BUTTON_MAX_CHARS) for branch in step.choose)
            yield Group(2, chars + ways + _STEP_BUTTONS_CHARS)
        yield from _visible(runbook, step.steps, depth + 1)
        branches = [tuple(_visible(runbook, branch.steps, depth + 1)) for branch in step.choose]
        yield from max(branches, key=_weight, default=())


def _weight(groups: tuple[Group, ...]) -> float:
    blocks, chars = sum(group.blocks for group in groups), sum(group.chars for group in groups)
    return max(blocks / MESSAGE_MAX_BLOCKS, chars / MESSAGE_MAX_CHARS)


def _packed(groups: Iterable[Group]) -> int:
    """How many messages they fill; a group is never torn apart."""
    messages, blocks, chars = 1, 0, 0
    for group in groups:
        if blocks and (blocks + group.blocks > MESSAGE_MAX_BLOCKS or chars + group.chars > MESSAGE_MAX_CHARS):
            messages, blocks, chars = messages + 1, 0, 0
        blocks, chars = blocks + group.blocks, chars + group.chars
    return messages


def _step_chars(runbook: Runbook, step: Step, depth: int) -> int:
    return sum(_INDENT_CHARS * (depth + 1) + 1 + chars for chars in _line_chars(runbook, step))


def _line_chars(runbook: Runbook, step: Step) -> Iterator[int]:
    yield _LINE_CHARS + _escaped(step.title)
    for name in step.shows:
        diagnostic = runbook.find_diagnostic(name)
        yield _LINE_CHARS + (_escaped(diagnostic.title) if diagnostic else 0) + len("unknown") + _VALUE_CHARS + _CLOCK_CHARS
    if step.run:
        yield _LINE_CHARS + _SUMMARY_CHARS
    if step.guide or step.link:
        yield _escaped(step.guide or "") + _link_chars(step.link)
    if step.caution:
        yield _LINE_CHARS + _escaped(step.caution)
    if any(branch.suggested_when for branch in step.choose):
        yield max(_suggestion_chars(runbook, branch) for branch in step.choose)


def _suggestion_chars(runbook: Runbook, branch: Branch) -> int:
    condition = branch.suggested_when
    diagnostic = runbook.find_diagnostic(condition.diagnostic) if condition else None
    words = len("💡 The evidence suggests **. because “” is unknown")
    return words + _escaped(branch.title) + (_escaped(diagnostic.title) if diagnostic else 0)


def _link_chars(link: Link | None) -> int:
    return len(" <|>") + _escaped(link.url) + _escaped(link.title) if link else 0


def _escaped(text: str) -> int:
    """Its length once `&`, `<` and `>` are written as entities."""
    return len(text) + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def _walk(path: YamlPath, steps: tuple[Step, ...], depth: int) -> Iterator[tuple[YamlPath, Step, int]]:
    for index, step in enumerate(steps):
        here = (*path, index)
        yield here, step, depth
        yield from _walk((*here, "steps"), step.steps, depth + 1)
        for number, branch in enumerate(step.choose):
            yield from _walk((*here, "choose", number, "steps"), branch.steps, depth + 1)
