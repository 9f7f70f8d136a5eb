"""The Dockerfile: pinned, not root, made of what is there."""

from __future__ import annotations

import fnmatch
import json
import shlex
import tomllib

import pytest

from tests.unit.deploy.files import DEPLOY, ROOT, dockerfile, image_says

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
KNOWN = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
KNOWN |= {"ENTRYPOINT", "CMD"}


def _copied() -> list[str]:
    sources: list[str] = []
    for name, rest in dockerfile()[0]:
        if name == "COPY":
            *paths, _ = shlex.split(rest)
            sources += paths
    return sources


def test_every_line_is_an_instruction() -> None:
    assert {name for stage in dockerfile() for name, _ in stage} <= KNOWN


def test_the_base_image_has_a_version_and_a_python_that_the_project_supports() -> None:
    for stage in dockerfile():
        image = stage[0][1].split()[0]
        repository, _, tag = image.partition(":")
        assert repository == "python"
        assert tag.startswith("3.11-")


def test_everything_copied_is_there_and_is_not_ignored() -> None:
    rules = [
        line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] not in ("", "#")
    ]
    for source in _copied():
        assert (ROOT / source).exists(), source
        ignored = False
        for rule in rules:
            if fnmatch.fnmatch(source, rule.lstrip("!")):
                ignored = not rule.startswith("!")
        assert not ignored, source


def test_every_room_is_in_the_image() -> None:
    rooms = {pattern.rstrip("*") + "/" for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in PROJECT["tool"]["setuptools"]["py-modules"]}
    assert rooms | modules | {"pyproject.toml", "requirements.lock", PROJECT["project"]["readme"]} == set(_copied())


def test_packages_are_installed_by_hash() -> None:
    (install,) = [rest for name, rest in dockerfile()[0] if name == "RUN" and "requirements.lock" in rest]
    assert "--require-hashes" in json.loads(install)


@pytest.mark.parametrize("instruction", ["ENTRYPOINT", "CMD", "VOLUME"])
def test_commands_are_lists_so_that_signals_reach_the_daemon(instruction: str) -> None:
    (text,) = image_says(instruction)
    assert all(isinstance(part, str) for part in json.loads(text))


def test_the_entry_point_is_the_project_s() -> None:
    (entry,) = image_says("ENTRYPOINT")
    assert json.loads(entry)[0] in PROJECT["project"]["scripts"]


def test_it_does_not_run_as_root() -> None:
    (user,) = image_says("USER")
    assert all(int(number) >= 1000 for number in user.split(":"))
