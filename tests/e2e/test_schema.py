# SPDX-License-Identifier: BSD-2-Clause
"""The JSON schema for editors agrees with mxlbd: the same keys, words, defaults and bounds; no good configuration is
marked as wrong, and bad ones are, as far as a schema can."""
import json
import os
import re
import subprocess

import pytest
import yaml
from jsonschema import Draft7Validator

import sources
from lab import ROOT, command

SCHEMA = json.loads((ROOT / "userspace/etc/mxlb.schema.json").read_text())
EXAMPLE = ROOT / "userspace/etc/mxlb.yaml"
PLACES = {"top": SCHEMA, **{name: SCHEMA["properties"][name] for name in ("datapath", "control", "dns", "decap")},
          **{name: SCHEMA["definitions"][name] for name in ("interface", "probe", "service", "server")},
          "zone_server": SCHEMA["definitions"]["zoneServer"]}
UNIT = ("conf", "confforeign", "confcert", "allow")
# What mxlbd says of errors that the schema has to find, too.
TELLING = re.compile(r"unknown key|is not one of (?!the)|(?<![smhd]) is not between|has no unit|is required|must be a |is not an IPv4|"
                     r"must be an absolute path|is not a valid")


class Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, as editors use it: no octal numbers, no dates, no yes and no as booleans."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (("null", r"~|null||Null|NULL", ["~", "n", "N", ""]), ("bool", "true|false", list("tf")),
                            ("int", r"[-+]?[0-9]+", list("-+0123456789")),
                            ("float", r"[-+]?[0-9]*\.[0-9]+", list("-+.0123456789"))):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), first)


def construct_int(loader, node):
    return int(node.value, 10)


Loader.add_constructor("tag:yaml.org,2002:int", construct_int)


def with_text_keys(value):
    """Turns keys into strings, as in JSON and in yaml-language-server."""
    if isinstance(value, dict):
        return {str(key): with_text_keys(item) for key, item in value.items()}
    return [with_text_keys(item) for item in value] if isinstance(value, list) else value


def complaints(text):
    errors = Draft7Validator(SCHEMA).iter_errors(with_text_keys(yaml.load(text, Loader)))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


def resolved(definition):
    return {**SCHEMA["definitions"].get(definition.get("$ref", "").rpartition("/")[2], {}), **definition}


def test_the_schema_is_one():
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("table", PLACES)
def test_it_has_the_keys_words_and_defaults_of_the_daemon(table):
    keys, place = sources.config_keys()[table], PLACES[table]
    assert set(place["properties"]) == set(keys)
    required = {name for name, key in keys.items() if key.required}
    assert set(place.get("required", [])) == required
    assert place["additionalProperties"] is False
    for name, key in keys.items():
        definition = resolved(place["properties"][name])
        if key.words:
            assert [word for word in definition["enum"] if isinstance(word, str)] == key.words, name
        if key.default is not None:
            assert str(definition["default"]).replace("False", "false") == key.default, name
        assert definition.get("description"), name


@pytest.mark.parametrize("table", PLACES)
def test_it_has_the_bounds_of_the_daemon(table):
    for name, key in sources.config_keys()[table].items():
        bounds = re.search(r"INTEGER\((\w+), (\w+)\)", key.text)
        if bounds:
            definition = PLACES[table]["properties"][name]
            for limit, kind in zip(bounds.groups(), ("minimum", "maximum")):
                assert not limit.isdigit() or definition[kind] == int(limit), name


def readme_examples():
    return re.findall(r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)


def test_it_accepts_the_example_and_those_of_the_readme():
    texts = [EXAMPLE.read_text(), *readme_examples()]
    assert len(texts) > 1
    for text in texts:
        assert complaints(text) == []


@pytest.fixture(scope="module")
def of_unit_tests(build, tmp_path_factory):
    """(text, valid, errors) of each configuration that the unit tests load."""
    kept = []
    for name in UNIT:
        folder = tmp_path_factory.mktemp(name)
        binary = build / "unit" / f"test_{name}"
        command("make", "-s", f"B={build.relative_to(ROOT)}", str(binary.relative_to(ROOT)), cwd=ROOT, timeout=600)
        command(str(binary), env={**os.environ, "MXLB_KEEP_CONFIGS": str(folder)})
        for file in sorted(folder.glob("*.errors")):
            for good in (True, False):
                text = file.with_suffix(".good" if good else ".bad")
                if text.exists():
                    kept.append((text.read_text(errors="surrogateescape"), good, file.read_text(errors="replace")))
    return kept


def test_it_accepts_what_mxlbd_accepts(of_unit_tests):
    later = re.compile("|".join(rf"\b{name}:" for name in sources.later_keys()) or "(?!)")
    good = [text for text, good, _ in of_unit_tests if good and not later.search(text)]
    assert len(good) > 30
    assert [(text, said) for text in good if (said := complaints(text))] == []


def test_what_mxlbd_refuses_for_a_key_or_a_value_it_refuses(of_unit_tests):
    missed, found = [], 0
    for text, good, errors in of_unit_tests:
        if good or not TELLING.search(errors) or "leading zero" in errors:
            continue
        try:
            said = complaints(text)
        except (yaml.YAMLError, RecursionError, ValueError, TypeError):
            continue  # no YAML, says the editor
        found += bool(said)
        if not said:
            missed.append(errors)
    assert found > 30 and missed == [], "\n".join(missed)


def test_the_example_is_taken_by_mxlbd_and_shows_each_key_with_its_default(build):
    done = subprocess.run([build / "mxlbd", "-t", "-c", EXAMPLE], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    text = EXAMPLE.read_text()
    for table, keys in sources.config_keys().items():
        for name, key in keys.items():
            assert re.search(rf"[\s{{#]{name}:", text), f"{table}: {name}"
            shown = re.findall(rf"[\s{{]{name}: +\"?([^\s\",}}]*)", text)
            if key.default and shown:
                comments = re.search(rf"{name}:.*#.*", text)
                assert key.default in shown or comments and key.default in comments[0], f"{table}: {name}: {shown}"
