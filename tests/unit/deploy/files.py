"""The deployment files, read strictly."""

from __future__ import annotations

import json
import re
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from actors.runtime.supervisor import CANCEL_SECONDS, ChildSpec, SupervisorSpec
from actors.settings import Settings
from actors.tree import tree

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "ops" / "deploy"


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice, which YAML forbids and PyYAML takes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        twice = {key for key in keys if keys.count(key) > 1 and key != "<<"}
        if twice:
            raise yaml.MarkedYAMLError(problem=f"twice: {twice}", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def documents(name: str) -> list[Any]:
    """The documents of a YAML file."""
    return list(yaml.load_all((DEPLOY / name).read_text(), _Strict))


def compose() -> dict[str, Any]:
    """The compose file."""
    (only,) = documents("compose.yaml")
    return dict(only)


def kubernetes(kind: str) -> list[dict[str, Any]]:
    """The objects of a kind."""
    return [document for document in documents("kubernetes.yaml") if document["kind"] == kind]


def unit(name: str = "tidegate.service") -> dict[str, list[str]]:
    """Directive -> values, of a systemd unit; no directive has the same name in two sections here."""
    values: dict[str, list[str]] = defaultdict(list)
    for line in (DEPLOY / name).read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            values[key].append(value)
    return values


def dockerfile() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, in order."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            stages.append([])
        stages[-1].append((instruction, rest.strip()))
    return stages


def image_says(instruction: str) -> list[str]:
    """What the stage that becomes the image has of an instruction."""
    return [rest for name, rest in dockerfile()[-1] if name == instruction]


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    return dict(pair.split("=", 1) for rest in image_says("ENV") for pair in shlex.split(rest))


def image_health_check() -> list[str]:
    """The command of the image's health check."""
    (check,) = image_says("HEALTHCHECK")
    return list(json.loads(check.partition("CMD ")[2]))


def seconds(text: str) -> float:
    """A time span such as `90`, `90s` or `2min`."""
    number, unit_name = re.fullmatch(r"([0-9]+)(s|min|m|)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"": 1, "s": 1, "m": 60, "min": 60}[unit_name]


def megabytes(text: str) -> float:
    """An amount of memory such as `900MB`, `2G` or `2Gi`."""
    number, unit_name = re.fullmatch(r"([0-9]+)(M|MB|Mi|G|GB|Gi)", text).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit_name.startswith("G") else 1)


def leaves(spec: SupervisorSpec | None = None) -> list[ChildSpec]:
    """The actors of the tree."""

    class Anything(dict[str, Any]):
        def __missing__(self, key: str) -> object:
            return lambda: None

        def __contains__(self, key: object) -> bool:
            return True

    found: list[ChildSpec] = []
    for child in (spec or tree(Anything())).children:
        found += leaves(child) if isinstance(child, SupervisorSpec) else [child]
    return found


def stop_seconds(settings: Settings) -> float:
    """The longest that a stop may take: the drain, and then every actor ignores that it is cancelled."""
    return settings.daemon.drain_seconds + CANCEL_SECONDS * len(leaves())
