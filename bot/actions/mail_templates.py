"""The texts of mails to users: files of `runbooks/templates` in which some fixed names are replaced.

One file is one text: `Subject: …` in the first line, an empty line, the body. Substitution is one pass over `NAMES`, never a
template language: what stands in a value is not looked into.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.domain.errors import NotConfiguredError, UserError
from bot.domain.service import VARIABLE
from bot.domain.text import clean

NAMES: Final = ("name", "details", "date", "reference")
"""`${name}` is the user's first name, `${details}` what the person who sends it says, `${date}` the day, `${reference}` the
incident."""
MAX_BYTES: Final = 20_000
SUBJECT_MAX_CHARS: Final = 120
_SUBJECT: Final = "Subject: "


@dataclass(frozen=True, slots=True, kw_only=True)
class MailTemplate:
    """A text before its names are replaced."""

    subject: str
    body: str

    @property
    def digest(self) -> str:
        """What tells this text from every other."""
        return hashlib.sha256(f"{self.subject}\n{self.body}".encode()).hexdigest()

    def wants(self, name: str) -> bool:
        """Whether one of the names stands in it."""
        return name in VARIABLE.findall(f"{self.subject}\n{self.body}")

    def filled(self, values: Mapping[str, str]) -> MailTemplate:
        """With every one of ``NAMES`` replaced."""
        subject, body = (VARIABLE.sub(lambda match: values[match[1]], text) for text in (self.subject, self.body))
        return MailTemplate(subject=clean(subject, max_chars=SUBJECT_MAX_CHARS), body=body)


def read_template(folder: Path | None, name: str) -> MailTemplate:
    """The text ``name``, which is a file name without its ending. Blocks.

    Raises: UserError when there is none, or it is not as it has to be, with what to mend.
    """
    if folder is None:
        raise NotConfiguredError("there is no folder with texts of mails", setting="MUSTER_RUNBOOKS")
    path = folder / f"{name}.txt"
    try:
        raw = path.read_bytes()[: MAX_BYTES + 1]
    except OSError as error:
        there = ", ".join(sorted(file.stem for file in folder.glob("*.txt"))) or "none"
        raise UserError(f"there is no text “{name}” in templates/ of the runbooks; there are: {there}") from error
    if len(raw) > MAX_BYTES:
        raise UserError(f"templates/{name}.txt is longer than {MAX_BYTES:,} bytes; nobody reads so much, so shorten it")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"templates/{name}.txt is not UTF-8; save it as UTF-8") from error
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    if not head.startswith(_SUBJECT) or "\n" in head or not body.strip():
        raise UserError(f"templates/{name}.txt has to begin with “{_SUBJECT}…”, then an empty line, then the text")
    unknown = [found for found in VARIABLE.findall(text) if found not in NAMES]
    if unknown:
        known = ", ".join(f"${{{known}}}" for known in NAMES)
        raise UserError(f"templates/{name}.txt has ${{{unknown[0]}}}, which is nothing; it may have {known}")
    return MailTemplate(subject=head.removeprefix(_SUBJECT).strip(), body=f"{body.strip()}\n")
