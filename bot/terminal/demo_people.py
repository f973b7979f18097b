"""Gives the people of the demo telephones and mail boxes: a copy of the shipped runbooks with a changed contacts.yml.

Called by `demo`. The numbers belong to nobody (555-0100 to 555-0199 are kept for fiction), example.com has no mail boxes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from bot.domain.errors import ConfigError


class Reached(NamedTuple):
    """How somebody of the demo is reached outside of Slack."""

    phone: str
    email: str


PEOPLE: Final[Mapping[str, Reached]] = {
    "on-call": Reached("+15555550101", "oncall@example.com"),
    "engineering-lead": Reached("+15555550102", "lead@example.com"),
    "cto": Reached("+15555550103", "cto@example.com"),
}
"""By the id of the contact."""

CONTACTS: Final = "contacts.yml"


def copy_runbooks(source: Path, target: Path) -> dict[str, str]:
    """Copy the folder, with `PEOPLE` in its contacts; names by number and by address, for the page. Blocks.

    Raises: ConfigError when the shipped contacts cannot be read.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    path = target / CONTACTS
    try:
        text, names = with_people(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {source / CONTACTS}; `muster check` says what is wrong with it") from error
    path.write_text(text, encoding="utf-8")
    return names


def with_people(contacts_yml: str) -> tuple[str, dict[str, str]]:
    """The file with the numbers and addresses of `PEOPLE`, and their names. Who is not in it is left out.

    The nodes of the document are changed, not its values: every other scalar stays written as it was ("09:00" stays a text).
    Comments are lost. Raises: yaml.YAMLError.
    """
    root = yaml.compose(contacts_yml, Loader=yaml.SafeLoader)
    names: dict[str, str] = {}
    for contact in _rows(root, "contacts"):
        reached = PEOPLE.get(_scalar(contact, "id"))
        if reached is None:
            continue
        _set(contact, "phone", reached.phone)
        _set(contact, "email", reached.email)
        name = _scalar(contact, "name") or _scalar(contact, "id")
        names |= {reached.phone: name, reached.email: name}
    if root is None:
        return contacts_yml, names
    return str(yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True)), names


def _rows(root: yaml.Node | None, key: str) -> list[yaml.MappingNode]:
    if not isinstance(root, yaml.MappingNode):
        return []
    found = next((value for name, value in root.value if name.value == key), None)
    rows = found.value if isinstance(found, yaml.SequenceNode) else []
    return [row for row in rows if isinstance(row, yaml.MappingNode)]


def _scalar(row: yaml.MappingNode, key: str) -> str:
    return next((value.value for name, value in row.value if name.value == key and isinstance(value, yaml.ScalarNode)), "")


def _set(row: yaml.MappingNode, key: str, text: str) -> None:
    pair = (_text_node(key, style=None), _text_node(text, style='"'))
    row.value = [*((name, value) for name, value in row.value if name.value != key), pair]


def _text_node(text: str, *, style: str | None) -> yaml.ScalarNode:
    return yaml.ScalarNode(tag="tag:yaml.org,2002:str", value=text, style=style)
