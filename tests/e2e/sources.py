# SPDX-License-Identifier: BSD-2-Clause
"""What exists according to the sources: configuration keys, commands, options. Read from the tables in the C files,
for the tests that compare the manual and the schema with them."""
import re
from dataclasses import dataclass

from lab import ROOT

STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass
class Key:
    name: str
    text: str  # the row's

    def setting(self, pattern):
        found = re.search(pattern, self.text, re.S)
        return found and found[1]

    @property
    def words(self):
        """The words of an enumeration; empty for other types."""
        return STRING.findall(self.setting(r"(?:WORDS|\.kind\.words =|\.words =)(.*?)(?:NULL|\)\s*(?:,|$))") or "")

    @property
    def default(self):
        """The default as written in a file. "": empty; None: there is no default."""
        return self.setting(r'\.initial = "([^"]*)"') if '.initial = "' in self.text else None

    @property
    def later(self):
        return "LATER" in self.text

    @property
    def required(self):
        return "KEY_REQUIRED" in self.text


def body(text, start):
    """The text between the brace at the end of the match and its closing brace."""
    depth, at = 1, start.end()
    while depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return text[start.end():at - 1]


def rows(table):
    """Each row that begins with a name, without its braces."""
    at = 0
    while start := re.compile(r"\{").search(table, at):
        row = body(table, start)
        at = start.end() + len(row)
        if re.match(r'\s*(?:\.name = )?"', row):
            yield row


def all_keys():
    """The tables of struct key, by their name without _keys: {"probe": {"interval": Key}}."""
    tables = {}
    for file in sorted((ROOT / "userspace/conf").glob("*.c")):
        text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.S)
        for start in re.finditer(r"const struct key (\w+)_keys\[\] = \{", text):
            keys = [Key(STRING.search(row)[1], row) for row in rows(body(text, start))]
            tables[start[1]] = {key.name: key for key in keys}
    return tables


def config_keys():
    """The keys that this version knows."""
    return {table: {name: key for name, key in keys.items() if not key.later} for table, keys in all_keys().items()}


def later_keys():
    return {name for keys in all_keys().values() for name, key in keys.items() if key.later}


def table_of(file, name):
    text = (ROOT / file).read_text()
    return [STRING.findall(row) for row in rows(body(text, re.search(rf"\b{name}\[\] = \{{", text)))]


def ctl_commands():
    return [row[0] for row in table_of("userspace/mxlbctl.c", "commands")]


def ctl_options():
    return [row[0] for row in table_of("userspace/ctl/options.c", "rows")]


def daemon_options():
    return [row[0] for row in table_of("userspace/mxlbd.c", "long_options")]


def socket_commands():
    return [row[0] for row in table_of("userspace/control/commands.c", "commands")]


def macro_names(file, macro):
    """The names in a list such as #define MXLB_REASONS(R) R(name, ...) ..."""
    text = (ROOT / file).read_text().replace("\\\n", " ")
    letter, lines = re.search(rf"#define {macro}\((\w)\)(.*)", text).groups()
    return re.findall(rf"\b{letter}\((\w+),", lines)
