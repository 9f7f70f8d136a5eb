"""Reading the settings: one TOML file, overridden key by key from the environment, checked before anything starts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

import msgspec

from actors.settings import Settings, SettingsRefused, check
from contracts.errors import nearest

PREFIX = "TIDEGATE_"
CONFIG = "TIDEGATE_CONFIG"
_SECRET_WORDS = ("password", "secret", "token", "api_key")


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings from a file (if any), the environment (`TIDEGATE_SECTION__KEY`) and the command line, in that order.

    Raises:
        SettingsRefused: naming file, line and key, what was expected, and an example; no value that may be a secret.
    """
    text = ""
    document: dict[str, Any] = {}
    if path is not None:
        text, document = _read(path)
    for name, value in environ.items():
        if name.startswith(PREFIX) and "__" in name:
            section, key = name.removeprefix(PREFIX).lower().split("__", 1)
            _put(document, section, key, _from_text(section, key, value, name))
    for dotted, value in (overrides or {}).items():
        if value is not None:
            section, key = dotted.split(".")
            _put(document, section, key, value)
    _refuse_unknown(document, path, text)
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        raise SettingsRefused(_place(path, text, str(error))) from None
    _refuse_secrets(document)
    return check(settings)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text()
    except OSError as error:
        raise SettingsRefused(
            f"{path}: cannot be read ({error.strerror}). Check --config and TIDEGATE_CONFIG."
        ) from None
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsRefused(f"{path}: not valid TOML: {error}") from None


def _put(document: dict[str, Any], section: str, key: str, value: Any) -> None:
    part = document.setdefault(section, {})
    if isinstance(part, dict):
        part[key] = value


def _fields(section: str) -> dict[str, Any]:
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    if section not in sections:
        return {}
    return {field.name: field.type for field in msgspec.structs.fields(sections[section])}


def _from_text(section: str, key: str, value: str, name: str) -> Any:
    kind = _fields(section).get(key)
    if kind is bool:
        if value.lower() not in ("true", "false"):
            raise SettingsRefused(f"{name}: expected true or false")
        return value.lower() == "true"
    if kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            raise SettingsRefused(f"{name}: expected a number") from None
    if get_origin(kind) is dict:
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            example = '{"acme": {"weight": 3}}'
            raise SettingsRefused(f"{name}: expected a JSON object, for example {example}") from None
    if kind == tuple[str, ...]:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _refuse_unknown(document: dict[str, Any], path: Path | None, text: str) -> None:
    known = [field.name for field in msgspec.structs.fields(Settings)]
    for section, part in document.items():
        if section not in known:
            raise SettingsRefused(_unknown(path, text, f"[{section}]", section, known))
        if not isinstance(part, dict):
            raise SettingsRefused(f"{section}: expected a section, as in [{section}]")
        for key in part:
            if key not in _fields(section):
                raise SettingsRefused(_unknown(path, text, key, f"{section}.{key}", list(_fields(section))))


def _unknown(path: Path | None, text: str, found: str, name: str, known: list[str]) -> str:
    guess = nearest(name.rpartition(".")[2], known)
    hint = f"Did you mean {guess}?" if guess else f"Known: {', '.join(known)}."
    return f"{_where(path, text, found)}{name}: there is no such setting. {hint}"


def _place(path: Path | None, text: str, message: str) -> str:
    """msgspec says `... - at `$.erp.limits``; people want the file and the line."""
    problem, _, where = message.partition(" - at ")
    name = where.strip("`").removeprefix("$.")
    example = "" if "limits" not in name else ' Example: limits = ["10/1s", "5 concurrent"]'
    return f"{_where(path, text, name.rpartition('.')[2])}{name}: {problem}.{example}"


def _where(path: Path | None, text: str, key: str) -> str:
    if path is None:
        return ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().startswith(key):
            return f"{path}:{number}: "
    return f"{path}: "


def _refuse_secrets(document: dict[str, Any]) -> None:
    for section, part in document.items():
        for key in part:
            if any(word in key for word in _SECRET_WORDS) and not key.endswith("_file"):
                raise SettingsRefused(f"{section}.{key}: a secret has no place in the settings; give a file instead")
