"""files.getUploadURLExternal and files.completeUploadExternal: two calls around an upload to an address of ours.

Errors: docs.slack.dev/reference/methods/files.getUploadURLExternal
"""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import Method, MethodCall, visible_channel
from bot.sandbox.models import BOT_USER_ID, Json


def get_upload_url(call: MethodCall) -> Json:
    """files.getUploadURLExternal: where to send the bytes."""
    filename = call.arguments.get_text("filename")
    length = call.arguments.get_text("length", "missing_argument")
    if not length.isdecimal() or int(length) == 0:
        raise SlackRefusal("missing_argument")
    upload = call.uploads.begin(call.state.new_id("F"), filename, int(length))
    return {"upload_url": f"{call.base_url}/upload/{upload.file_id}", "file_id": upload.file_id}


def complete_upload(call: MethodCall) -> Json:
    """files.completeUploadExternal: share what was uploaded, in one message of the channel."""
    wanted = call.arguments.find_json("files")
    if not isinstance(wanted, list) or not wanted or not all(isinstance(one, dict) for one in wanted):
        raise SlackRefusal("invalid_arguments", "[ERROR] missing required field: files")
    files = [call.uploads.file_of(one, base_url=call.base_url) for one in wanted]
    if call.arguments.find_text("channel_id"):
        channel = visible_channel(call, "channel_id")
        if BOT_USER_ID not in channel.members:
            raise SlackRefusal("not_in_channel")
        text = call.arguments.find_text("initial_comment") or ""
        thread_ts = call.arguments.find_text("thread_ts") or None
        if thread_ts is not None and thread_ts not in channel.messages:
            raise SlackRefusal("thread_not_found")
        call.state.post_as_bot(channel.id, text, thread_ts=thread_ts, subtype="file_share", files=files)
    return {"files": [{"id": one["id"], "title": one["title"]} for one in files]}


METHODS = {
    "files.getUploadURLExternal": Method(get_upload_url, ("files:write",)),
    "files.completeUploadExternal": Method(complete_upload, ("files:write",)),
}
