"""A YAML file as plain data that remembers the line of every key, so that errors can say where."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from etl_model.problems import ConfigurationError, Problem

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """`data` as read, and `lines`: 1-based line of each key or item by its path from the root."""

    path: Path
    data: Any
    lines: dict[Location, int]

    def where(self, location: Location) -> str:
        """`file:line key.path`, using the nearest enclosing key whose line is known."""
        known = location
        while known and known not in self.lines:
            known = known[:-1]
        # Shown as people write it: two folders name the file, whatever the folder above is called.
        place = (
            f"{'/'.join(self.path.parts[-3:] if self.path.parent.parent.name == 'pipelines' else self.path.parts[-2:])}"
        )
        line = self.lines.get(known)
        prefix = f"{place}:{line}" if line else place
        return f"{prefix} {_dotted(location)}" if location else prefix


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def read_document(path: Path) -> Document:
    """The file at `path`; raises ConfigurationError for bad YAML, duplicate keys, aliases and wrong top level."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(
            [Problem(str(path), "the file does not exist", "Create it or correct its name")]
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError([Problem(str(path), f"not UTF-8 text ({error})", "Save the file as UTF-8")]) from None
    problems: list[Problem] = []
    lines: dict[Location, int] = {}
    short = "/".join(path.parts[-3:] if path.parent.parent.name == "pipelines" else path.parts[-2:])
    try:
        # An alias can grow a small file without bound, and nothing in these files needs one.
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise ConfigurationError(
                    [Problem(f"{short}:{token.start_mark.line + 1}", f"alias *{token.value}", "Write the value out")]
                )
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{short}:{mark.line + 1}" if mark else short
        what = f"not valid YAML: {error.problem or error.context}"
        raise ConfigurationError([Problem(place, what, "Check indentation, quotes and colons there")]) from None
    except yaml.YAMLError as error:
        raise ConfigurationError([Problem(short, f"not valid YAML: {error}", "Remove what is not text")]) from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigurationError(
            [Problem(short, "the file is not a mapping of keys to values", "Start it with `name: …`")]
        )
    data = _value(node, (), lines, problems, short)
    if problems:
        raise ConfigurationError(problems)
    return Document(path=path, data=data, lines=lines)


def _value(node: yaml.Node, location: Location, lines: dict[Location, int], problems: list[Problem], place: str) -> Any:
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*location, i), lines, problems, place) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key: Hashable = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                problems.append(Problem(f"{place}:{line}", "a key that is not text", "Use a plain word as the key"))
                continue
            if key in mapping:
                first = lines[(*location, key)]
                problems.append(
                    Problem(
                        f"{place}:{line} {_dotted((*location, key))}",
                        f"duplicate key (first on line {first})",
                        "Keep one",
                    )
                )
                continue
            lines[(*location, key)] = line
            mapping[key] = _value(value_node, (*location, key), lines, problems, place)
        return mapping
    return yaml.SafeLoader("").construct_object(node, deep=True)
