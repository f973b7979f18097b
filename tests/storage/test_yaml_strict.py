"""The strict YAML loader: strings stay strings, every trap is a fault with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.storage.yaml_strict import MAX_BYTES, MAX_DEPTH, Data, Fault, load_yaml, parse_yaml


def read(text: str | bytes) -> Data:
    """What a faultless text says."""
    loaded = parse_yaml(text.encode() if isinstance(text, str) else text, name="f.yml")
    assert loaded.faults == ()
    assert loaded.document is not None
    return loaded.document.data


def faults(text: str | bytes) -> list[str]:
    """The faults of a text, as they are printed."""
    loaded = parse_yaml(text.encode() if isinstance(text, str) else text, name="f.yml")
    assert loaded.document is None
    return [str(fault) for fault in loaded.faults]


@pytest.mark.parametrize(
    "scalar",
    [
        "+15551234567",
        "0555123",
        "022",
        "0x1F",
        "12:30:45",
        "no",
        "on",
        "yes",
        "true",
        "~",
        "null",
        "1.10",
        "1e3",
        "1_000",
        ".inf",
        ".nan",
        "2020-01-01",
        "2020-01-01 10:00:00",
        "=",
    ],
)
def test_plain_scalars_stay_strings(scalar: str) -> None:
    """As values, in lists and as keys."""
    assert read(f"a: {scalar}") == {"a": scalar}
    assert read(f"- {scalar}") == [scalar]
    assert read(f"{scalar}: x") == {scalar: "x"}


def test_structures_and_styles() -> None:
    """Flow and block, quotes, folded and literal texts, comments, an explicit start and end of the document."""
    text = """\
--- # a comment
flow: {list: [a, 'b', "c\\n"], empty: {}, nothing: []}
folded: >-
  one
  two
literal: |
  one
  two
empty: ""
...
"""
    assert read(text) == {
        "flow": {"list": ["a", "b", "c\n"], "empty": {}, "nothing": []},
        "folded": "one two",
        "literal": "one\ntwo\n",
        "empty": "",
    }


def test_every_value_and_key_has_its_place() -> None:
    """Line and column, both 1-based; what does not exist is placed at what is around it."""
    document = parse_yaml("a:\n  - {b: x}\n  - y\nünï: z\n".encode(), name="f.yml").document
    assert document is not None
    assert document.place_of(("a",)) == (2, 3)
    assert document.place_of(("a",), key=True) == (1, 1)
    assert document.place_of(("a", 0, "b")) == (2, 9)
    assert document.place_of(("a", 1)) == (3, 5)
    assert document.place_of(("ünï",)) == (4, 6)
    assert document.place_of(("a", 0, "missing", "deeper")) == (2, 5)
    assert document.place_of(("nothing",), key=True) == (1, 1)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "4:3", "has the key “c” twice, first in line 3"),
        ("{a: 1, a: 2}", "1:8", "twice"),
        ("a: &x 1", "1:4", "an anchor (&…)"),
        ("a: *x", "1:4", "an alias (*…)"),
        ("- &a [*a]", "1:3", "an anchor (&…)"),
        ("a: !!python/object/apply:os.system ['id']", "1:4", "a tag (!…)"),
        ("a: !!str x", "1:4", "a tag (!…)"),
        ("a: !secret x", "1:4", "a tag (!…)"),
        ("a: ! x", "1:4", "a tag (!…)"),
        ("a: !u!x y", "1:4", "a tag (!…)"),
        ("a: {b: 1}\n<<: {b: 2}", "2:1", "a merge key (<<)"),
        ("a: x\n---\nb: y\n", "2:1", "a second document"),
        ("%YAML 1.1\n---\na: b", "1:1", "a % directive"),
        ("a:\n\tb: 1", "2:1", "indented with a tab"),
        ("a:\n  \tb: 1", "2:3", "indented with a tab"),
        ("a:\tb", "1:3", "has a tab"),
        ("", "1:1", "is empty"),
        (" \n\n", "1:1", "is empty"),
        ("# nothing\n", "1:1", "nothing but comments"),
        ("a: x\nb: 'y\nc: z", "3:5", "ends in the middle of a quoted text"),
        ("a: [\n", "2:1", "ends in the middle of something"),
        ("a: b: c", "1:5", "a colon too many"),
        ("a: [1, 2\nb: 3", "2:2", "not closed"),
        ("a: {b: c", "1:9", "not closed"),
        ("? [a]\n: b", "1:3", "a list or a mapping as a key"),
        ("a:\nb: c", "1:3", "has no value here"),
        ("- a\n-\n", "2:2", "has no value here"),
        ('"": b', "1:1", "a value without a key"),
        ("a: @x", "1:4", "a character that YAML reserves"),
        ("a: - b", "1:4", "a list that begins behind a colon"),
        ('a: "\\q"', "1:6", "a backslash that means nothing"),
        ("a: b\n  c: d\n e: f", "2:4", "a colon too many"),
        ("a:\n    b: c\n  d: e", "3:3", "indented differently"),
        ("a: b\x00", "1:5", "the invisible character U+0000"),
        ("a: b\n# \x07", "2:3", "the invisible character U+0007"),
        ("a: b\u2028c: d", "1:5", "the invisible character U+2028"),
        ("\ufeffa: b", "1:1", "a byte order mark"),
        (b"\xff\xfea\x00", "1:1", "a byte order mark"),
        (b"a: x\nb: \xc3\x28", "2:4", "is not UTF-8"),
        (b"a: \xed\xa0\x80", "1:4", "is not UTF-8"),
        ("[" * 900 + "]" * 900, f"1:{MAX_DEPTH + 1}", "nested more than"),
        ("[" * 100_000, f"1:{MAX_DEPTH + 1}", "nested more than"),
        ("a: {" * 900, f"1:{4 * MAX_DEPTH}", "nested more than"),
        ("- " * 900, f"1:{2 * MAX_DEPTH + 1}", "nested more than"),
        ("a: " + "x" * MAX_BYTES, "1:1", "is larger than 256 KiB"),
    ],
)
def test_traps_are_faults(text: str | bytes, place: str, said: str) -> None:
    """Each with its line and column, what is wrong, and behind a semicolon what to do."""
    first = faults(text)[0]
    assert first.startswith(f"f.yml:{place}: ")
    assert said in first
    assert "; " in first


def test_an_alias_bomb_costs_nothing() -> None:
    """Nine levels of nine references would be gigabytes; here the first anchor is the end of it."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "an anchor" in faults("\n".join(lines))[0]


def test_all_faults_that_leave_the_structure_clear_are_reported() -> None:
    """One run, not one fault at a time."""
    assert [fault.split(": ")[0] for fault in faults("a: 1\na: 2\nb:\nc: &x y\n")] == ["f.yml:2:1", "f.yml:3:3", "f.yml:4:4"]


def test_the_largest_text_is_read() -> None:
    """The limit is a limit, not one byte less."""
    text = "a: " + "x" * (MAX_BYTES - 3)
    assert read(text) == {"a": "x" * (MAX_BYTES - 3)}


@given(st.binary(max_size=200))
def test_bytes_never_raise(raw: bytes) -> None:
    """A document, or faults; never both and never an exception."""
    loaded = parse_yaml(raw, name="f.yml")
    assert (loaded.document is None) == bool(loaded.faults)


@given(st.text(alphabet="ab:-[]{}&*!|>%@`'\"#,? \n\t.", max_size=60))
def test_yaml_like_text_never_raises(text: str) -> None:
    """The characters that mean something, in any order."""
    loaded = parse_yaml(text.encode(), name="f.yml")
    assert (loaded.document is None) == bool(loaded.faults)


def test_reads_a_file(tmp_path: Path) -> None:
    """Also by a symbolic link that stays inside, which is how a Kubernetes ConfigMap looks."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "a.yml").write_text("a: b\r\n")
    (tmp_path / "a.yml").symlink_to("..data/a.yml")
    loaded = load_yaml(tmp_path / "a.yml", folder=tmp_path, name="a.yml")
    assert loaded.document is not None
    assert loaded.document.data == {"a": "b"}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("link out", "a symbolic link that leads out of its folder"),
        ("link to a device", "a symbolic link that leads out of its folder"),
        ("dead link", "cannot be read: no such file"),
        ("loop", "cannot be read"),
        ("pipe", "is not a regular file"),
        ("folder", "is not a regular file"),
        ("missing", "cannot be read: no such file"),
        ("empty", "is empty"),
    ],
)
def test_refuses_what_is_no_file_of_the_folder(tmp_path: Path, kind: str, said: str) -> None:
    """Nothing outside is read, nothing blocks."""
    folder, path = tmp_path / "in", tmp_path / "in" / "a.yml"
    folder.mkdir()
    (tmp_path / "secret.yml").write_text("a: secret\n")
    match kind:
        case "link out":
            path.symlink_to("../secret.yml")
        case "link to a device":
            path.symlink_to("/dev/zero")
        case "dead link":
            path.symlink_to("nothing.yml")
        case "loop":
            path.symlink_to("a.yml")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
    loaded = load_yaml(path, folder=folder, name="in/a.yml")
    assert loaded.document is None
    assert said in str(loaded.faults[0])
    assert str(loaded.faults[0]).startswith("in/a.yml:1:1: ")


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A sparse file of a gigabyte is refused after its first 256 KiB."""
    path = tmp_path / "a.yml"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    assert "is larger than" in str(load_yaml(path, folder=tmp_path, name="a.yml").faults[0])


def test_how_a_fault_is_printed() -> None:
    """As editors understand it; a warning says so."""
    fault = Fault(path="a.yml", line=3, column=5, message="is wrong", remedy="mend it")
    assert str(fault) == "a.yml:3:5: is wrong; mend it"
    warning = Fault(path="a.yml", line=3, column=5, level="warning", message="is odd")
    assert str(warning) == "a.yml:3:5: warning: is odd"
