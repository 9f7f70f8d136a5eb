"""What all verbs of the command line share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from actors.settings import Settings
from ops.client import Client
from ops.config import load


class Shared:
    """What all verbs share: where the settings are, and how to print."""

    def __init__(self, config: Path | None, data: str | None, as_json: bool, token_file: str | None = None) -> None:
        self.config = config
        self.data = data
        self.as_json = as_json
        self.token_file = token_file

    @property
    def own_token(self) -> str | None:
        """The file of our own token, if one was named."""
        return self.token_file or os.environ.get("TIDEGATE_TOKEN_FILE")

    def settings(self, **overrides: Any) -> Settings:
        """The checked settings."""
        return load(self.config, os.environ, {"data.directory": self.data, **overrides})

    def client(self, url: str | None = None) -> Client:
        """A client of the daemon that these settings describe, with our own token if we have one."""
        settings = self.settings()
        host = f"http://{settings.http.host}:{settings.http.port}"
        token = self.own_token or settings.directory / "operator.token"
        return Client(url or os.environ.get("TIDEGATE_URL") or host, Path(token))

    def say(self, value: dict[str, Any], human: Callable[[], None]) -> None:
        """Print for scripts or for people."""
        if self.as_json:
            click.echo(json.dumps(value))
        else:
            human()


pass_shared = click.make_pass_decorator(Shared)


def _also_here(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """An option of the whole program, given behind the verb."""
    if value:
        setattr(context.ensure_object(Shared), str(parameter.name), value)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--config`, `--data`, `--token-file` and `--json` may stand before the verb or behind it."""
    hidden: dict[str, Any] = {"expose_value": False, "callback": _also_here}
    for option in (
        click.option("--config", type=click.Path(path_type=Path), help="TOML file.", **hidden),
        click.option("--data", help="Data directory.", **hidden),
        click.option("--token-file", help="Your own token (or TIDEGATE_TOKEN_FILE).", **hidden),
        click.option("--json", "as_json", is_flag=True, help="Machine-readable output.", **hidden),
    ):
        command = option(command)
    return command
