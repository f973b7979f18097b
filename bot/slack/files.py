"""Results that are too long for messages: a text file in the thread of their run, once.

Slack takes a file in three calls (docs.slack.dev, messaging/working-with-files): where to, the bytes, and where it is shown. None
of them can be repeated safely, so the thread is looked at first when an earlier attempt may have come to its end.
"""

from __future__ import annotations

import aiohttp

from bot.domain.errors import TemporaryError
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome
from bot.domain.run import Run
from bot.slack.client import CALL_TIMEOUT_S, SlackApi

FILE_MAX_BYTES = 1_000_000
"""Slack shows a text of up to a megabyte beside the message; nobody reads more than that in a room."""
CUT_OFF = "\n… the rest is left out: it is too long.\n"


def name_of(incident: Incident, key: str) -> str:
    """The name of the file that is kept as ``key``: what it is found by in its thread. It says nothing of what is in it."""
    return f"{incident.id}-{key.replace(':', '-')}.txt"


def text_of(run: Run) -> str:
    """The whole result of a run. The timeline keeps no secret, so there is none in it."""
    outcome = run.outcome
    if outcome is None:
        return ""
    head = [run.title, *_by(run), f"{outcome.state.value}: {outcome.summary}", outcome.remedy]
    parts = ["\n".join(line for line in head if line), "\n".join(outcome.details), outcome.report]
    text = "\n\n".join(part for part in parts if part) + "\n"
    raw = text.encode()
    if len(raw) <= FILE_MAX_BYTES:
        return text
    return raw[: FILE_MAX_BYTES - len(CUT_OFF.encode())].decode(errors="ignore") + CUT_OFF


def _by(run: Run) -> list[str]:
    said = [f"Asked for by {run.requested.by} at {run.requested.at:%Y-%m-%d %H:%M:%S} UTC"]
    if run.confirmed:
        said.append(f"Confirmed by {run.confirmed.by} at {run.confirmed.at:%Y-%m-%d %H:%M:%S} UTC")
    if run.finished_at:
        said.append(f"Finished at {run.finished_at:%Y-%m-%d %H:%M:%S} UTC")
    return said


def title_of(run: Run, outcome: Outcome) -> str:
    """What people see above the file."""
    lines = len(outcome.details)
    return f"{run.title}: the whole result ({lines} lines)" if lines else f"{run.title}: the whole result"


async def share_once(
    slack: SlackApi, *, channel_id: str, thread_ts: str, name: str, title: str, text: str, look_first: bool
) -> None:
    """Put a file into a thread. ``look_first``: an earlier attempt may have done it.

    Raises: TemporaryError when Slack did not take the bytes, and what ``SlackApi.call`` raises.
    """
    if look_first and await _is_there(slack, channel_id=channel_id, thread_ts=thread_ts, name=name):
        return
    content = text.encode()
    place = await slack.call("files.getUploadURLExternal", filename=name, length=len(content))
    await _send(slack, str(place["upload_url"]), content)
    await slack.call(
        "files.completeUploadExternal",
        files=[{"id": place["file_id"], "title": title}],
        channel_id=channel_id,
        thread_ts=thread_ts,
    )


async def _send(slack: SlackApi, url: str, content: bytes) -> None:
    """The bytes alone: nobody sees them before the upload is completed, so that may be repeated. The address is a secret."""
    session = slack.client.session
    if session is None:
        raise TemporaryError("a file cannot be sent to Slack before the session is open")
    timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S)
    try:
        async with session.post(url, data=content, timeout=timeout, allow_redirects=False) as answer:
            if answer.status != 200:
                raise TemporaryError(f"Slack did not take a file (HTTP {answer.status})")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise TemporaryError(f"Slack did not take a file ({type(error).__name__})") from None


async def _is_there(slack: SlackApi, *, channel_id: str, thread_ts: str, name: str) -> bool:
    async for message in slack.each("conversations.replies", "messages", channel=channel_id, ts=thread_ts, limit=200):
        if any(file.get("name") == name for file in message.get("files") or []):
            return True
    return False
