"""The tag of log messages: the Go templates of docker's ``tag`` option, as far as they are used.

Fields ({{.ID}}, {{.Name}} ...), ``index .ContainerLabels "KEY"``, and lower, upper, title, json and
truncate of them, in front or behind a pipe (moby, daemon/logger/templates and loggerutils/log_tag).
What else a template may hold is an error that names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from orchestra.values import dataclass

DAEMON_NAME = "docker"
"""What {{.DaemonName}} is: receivers sort by the name that docker gives."""
_SHORT = 12
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"|]+)|(\|)')
_LABELS = ".ContainerLabels"


class TagError(ValueError):
    """A template asks for what is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFacts:
    """What a tag may say of a container: moby's logger.Info."""

    id: str
    name: str
    image_name: str
    image_id: str
    command: str
    hostname: str
    labels: Mapping[str, str]

    def fields(self) -> Mapping[str, str]:
        """Return the fields by their names in a template."""
        return {
            ".ID": self.id[:_SHORT],
            ".FullID": self.id,
            ".Name": self.name,
            ".Command": self.command,
            ".ImageID": self.image_id.rpartition(":")[2][:_SHORT],
            ".ImageFullID": self.image_id,
            ".ImageName": self.image_name,
            ".Hostname": self.hostname,
            ".DaemonName": DAEMON_NAME,
            ".ContainerID": self.id,
            ".ContainerName": f"/{self.name}",
            ".ContainerImageID": self.image_id,
            ".ContainerImageName": self.image_name,
        }


_NOBODY = TagFacts(id="", name="", image_name="", image_id="", command="", hostname="", labels={})


def check_tag(template: str) -> None:
    """See whether a template can be filled in.

    :raises TagError: what it asks for that is not there.
    """
    fill_tag(template, _NOBODY)


def fill_tag(template: str, facts: TagFacts) -> str:
    """Return a container's tag.

    :raises TagError: what it asks for that is not there.
    """
    rest = _ACTION.sub("", template)
    if "{{" in rest or "}}" in rest:
        raise TagError(f'"{template}" has a brace without its other')
    return _ACTION.sub(lambda match: _evaluate(match[1], facts), template)


def _evaluate(action: str, facts: TagFacts) -> str:
    """Evaluate a pipeline: the value of each command is the last argument of the next."""
    value: str | None = None
    for command in _commands(action):
        value = _apply(action, command if value is None else [*command, json.dumps(value)], facts)
    if value is None:
        raise TagError("there is nothing between the braces")
    return value


def _commands(action: str) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    if _WORD.sub("", action).strip():
        raise TagError(f'"{action}" is no template that is known here')
    for match in _WORD.finditer(action):
        if match[3]:
            commands.append([])
        else:
            commands[-1].append(match[0])
    return [] if commands == [[]] else commands


def _apply(action: str, words: list[str], facts: TagFacts) -> str:
    match words:
        case [word]:
            return _value(word, facts)
        case ["lower", word]:
            return _value(word, facts).lower()
        case ["upper", word]:
            return _value(word, facts).upper()
        case ["title", word]:
            return re.sub(r"\b[a-z]", lambda first: first[0].upper(), _value(word, facts))
        case ["json", word]:
            return json.dumps(_value(word, facts), ensure_ascii=False)
        case ["truncate", word, length] if length.isdecimal():
            return _value(word, facts)[: int(length)]
        case ["index", word, key] if word == _LABELS:
            return facts.labels.get(_value(key, facts), "")
        case _:
            raise TagError(f'"{action}" is no template that is known here')


def _value(word: str, facts: TagFacts) -> str:
    if word.startswith('"'):
        try:
            return str(json.loads(word))
        except ValueError as err:
            raise TagError(f"{word} is no text that is known here") from err
    fields = facts.fields()
    if word not in fields:
        raise TagError(f'there is no "{word}"; fields are {", ".join(list(fields)[:9])}')
    return fields[word]
