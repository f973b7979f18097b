"""Files on their way into the workspace: begun by ``methods.files``, filled and read by the routes of ``server``."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.models import BOT_USER_ID, Json


@dataclass
class Upload:
    """One file; ``content`` None until its bytes have come."""

    file_id: str
    filename: str
    length: int
    content: bytes | None = None


class Uploads:
    """All files, by id."""

    def __init__(self) -> None:
        self._files: dict[str, Upload] = {}

    def begin(self, file_id: str, filename: str, length: int) -> Upload:
        """Reserve an id for a file of this many bytes."""
        upload = self._files[file_id] = Upload(file_id, filename, length)
        return upload

    def find(self, file_id: str) -> Upload | None:
        """The file, or None."""
        return self._files.get(file_id)

    def file_of(self, wanted: Json, *, base_url: str) -> Json:
        """The file object for a message, of ``{"id", "title"?}``. Raises ``file_not_found`` when its bytes never came."""
        upload = self._files.get(str(wanted.get("id")))
        if upload is None or upload.content is None:
            raise SlackRefusal("file_not_found")
        mimetype = mimetypes.guess_type(upload.filename)[0] or "application/octet-stream"
        return {
            "id": upload.file_id,
            "name": upload.filename,
            "title": wanted.get("title") or upload.filename,
            "mimetype": mimetype,
            "filetype": upload.filename.rpartition(".")[2],
            "size": len(upload.content),
            "user": BOT_USER_ID,
            "mode": "hosted",
            "url_private": f"{base_url}/files/{upload.file_id}/{upload.filename}",
        }
