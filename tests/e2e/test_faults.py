# SPDX-License-Identifier: BSD-2-Clause
"""tests/faults.md: every row of the catalogue of faults has a test or a reason, and every test that it names is there."""
import ast
import re

import pytest

from lab import ROOT

ROWS = {f"{letter}{n}" for letter, last in {"D": 21, "B": 16, "P": 20, "K": 9, "R": 8, "U": 9, "A": 6, "X": 8, "N": 10}.items()
        for n in range(1, last + 1)}
IDS = r"[A-Z]\d+(?:(?:, | and )[A-Z]\d+)*"


def python_tests():
    """{test: IDs in its docstring}."""
    found = {}
    for file in (ROOT / "tests/e2e").glob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                ids = re.match(rf"({IDS}):", ast.get_docstring(node) or "")
                found[node.name] = set(re.findall(r"[A-Z]\d+", ids[1])) & ROWS if ids else set()
    return found


def c_tests():
    """{test: IDs at the beginning of its name}; packet tests begin with test_."""
    found = {}
    for file in (ROOT / "tests").glob("*/test_*.c"):
        text = file.read_text()
        for name in re.findall(r"^static void (\w+)\(\s*void \*\*state\)", text, re.M):
            ids = re.match(r"(?:test_)?((?:[A-Z]\d+_)+)", name)
            found[name] = set(re.findall(r"[A-Z]\d+", ids[1])) & ROWS if ids else set()
    return found


@pytest.fixture(scope="module")
def tests():
    return {**python_tests(), **c_tests()}


@pytest.fixture(scope="module")
def listed():
    lines = re.findall(r"^\| ([A-Z]\d+) \|[^|]*\|([^|]*)\|$", (ROOT / "tests/faults.md").read_text(), re.M)
    assert len(lines) == len(dict(lines)), "a row stands there twice"
    return dict(lines)


def test_every_row_of_the_catalogue_is_listed_and_no_other(listed):
    assert set(listed) == ROWS


def test_every_test_that_is_named_is_there(listed, tests):
    named = {name for text in listed.values() for name in re.findall(r"`(\w+)`", text) if "_" in name}
    assert named and named <= set(tests), named - set(tests)


def test_every_row_has_a_test_or_a_reason_for_none(listed, tests):
    shown = set().union(*tests.values())
    for row, text in listed.items():
        tested = row in shown or any(name in tests for name in re.findall(r"`(\w+)`", text))
        assert tested or re.match(" not here(: | yet)", text), f"{row} has neither"
        assert not (tested and "not here: " in text), f"{row} has a test: there is no need to say why not"


CONFORMANCE = (ROOT / "docs/conformance.md").read_text()


def test_conformance_has_the_same_faults():
    assert set(re.findall(r"^\| ([ABDKNPRUX]\d+) \|", CONFORMANCE, re.M)) == ROWS


def test_the_tests_that_conformance_names_bear_the_id_of_their_row():
    rows = re.findall(r"^\| (C\d+) \|.*\|([^|]*)\|$", CONFORMANCE, re.M)
    assert [row for row, _ in rows] == [f"C{n:02}" for n in range(1, 47)]
    for row, text in rows:
        files = re.findall(r"`([^`]*)`", text)
        assert files, f"{row} has no test"
        for file in files:
            assert re.search(rf"(?<![A-Z]){row}(?!\d)", (ROOT / "tests" / file).read_text()), f"{file} has no {row}"
