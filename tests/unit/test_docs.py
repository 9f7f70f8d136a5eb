"""What the documents say is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from actors.runtime.supervisor import ChildSpec, SupervisorSpec
from actors.settings import Settings
from actors.tree import tree
from contracts.errors import CODES
from ops.cli import tidegate
from ops.config import load

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_every_command_named_in_the_readme_exists() -> None:
    named = set(re.findall(r"(?:`|^ +)tidegate ([a-z]+)", README, re.M))
    assert {"serve", "surge", "pause", "explain"} <= named
    assert named <= set(tidegate.commands)


def test_every_command_says_what_it_does() -> None:
    for name, command in tidegate.commands.items():
        assert (command.help or "").strip(), name


def _readme_toml() -> str:
    block = README.partition("## Settings")[2].partition("\n## ")[0]
    return "\n".join(line[4:] for line in block.splitlines() if line.startswith("    "))


def _readme_settings() -> dict[str, dict[str, object]]:
    return tomllib.loads(_readme_toml())


def test_the_settings_in_the_readme_are_taken_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.toml"
    path.write_text(_readme_toml())
    assert load(path, {}).erp.limits == ("10/1s", "5 concurrent")


@pytest.mark.parametrize("section", [field.name for field in msgspec.structs.fields(Settings)])
def test_every_section_of_the_settings_is_in_the_readme(section: str) -> None:
    assert section in _readme_settings()


def test_the_defaults_in_the_readme_are_the_defaults() -> None:
    defaults = msgspec.to_builtins(Settings())
    for section, keys in _readme_settings().items():
        for key, value in keys.items():
            if key != "token_file":
                assert defaults[section][key] in (value, tuple(value) if isinstance(value, list) else value), key


def _drawn() -> list[str]:
    text = (ROOT / "actors" / "tree.py").read_text()
    drawing = text.partition('"""')[2].partition('"""')[0]
    return re.findall(r"(?:├──|└──) ([a-z-]+)", drawing)


def _listed(spec: SupervisorSpec) -> list[str]:
    names = []
    for child in spec.children:
        names.append(child.name)
        if isinstance(child, SupervisorSpec):
            names += _listed(child)
    return names


def test_the_drawing_of_the_tree_is_the_tree() -> None:
    class Every(dict):  # type: ignore[type-arg]
        def __contains__(self, key: object) -> bool:
            return True

        def __missing__(self, key: str) -> object:
            return lambda: None

    spec = tree(Every())
    assert _drawn() == _listed(spec)
    assert all(isinstance(child, ChildSpec | SupervisorSpec) for child in spec.children)


def test_every_decision_record_is_in_the_list_and_has_its_three_parts() -> None:
    folder = ROOT / "ops" / "decisions"
    listed = (folder / "README.md").read_text()
    for record in sorted(folder.glob("[0-9]*.md")):
        text = record.read_text()
        assert f"({record.name})" in listed
        assert all(f"**{part}.**" in text for part in ("Situation", "Choice", "Price")), record.name


def test_links_in_the_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "ops" / "decisions").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_error_codes_named_in_the_readme_exist() -> None:
    for code in re.findall(r"`([a-z]+\.[a-z_]+)`", README):
        if code.split(".")[0] in {known.split(".")[0] for known in CODES} and not code.endswith(
            ("html", "token", "db")
        ):
            assert code in CODES, code
