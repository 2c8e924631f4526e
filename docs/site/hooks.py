"""What the documentation takes from the code when it is built."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from lgc.cli import main
from lgc.frontend.schema import schema


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in commands and settings."""
    markdown = markdown.replace("<!-- commands -->", "\n".join(commands()))
    return markdown.replace("<!-- settings -->", "\n".join(settings(schema()["properties"], "")))


def commands() -> list[str]:
    """Return the help of lgc and of each of its commands, as blocks of text."""
    context = click.Context(main, info_name="lgc", terminal_width=80)
    lines = ["```text", main.get_help(context), "```"]
    for name, command in sorted(main.commands.items()):
        with click.Context(command, info_name=name, parent=context, terminal_width=80) as inner:
            lines += ["", f"## lgc {name}", "", "```text", command.get_help(inner), "```"]
    return lines


def settings(sections: dict[str, Any], prefix: str) -> list[str]:
    """Return a heading and a table per section, sections of sections after them."""
    lines: list[str] = []
    for name, section in sections.items():
        title = f"{prefix}{name}"
        lines += ["", f"## {title}", "", section.get("description", ""), ""]
        lines += ["| setting | type | default | meaning |", "|---|---|---|---|"]
        inner = {}
        for key, entry in section["properties"].items():
            items = entry.get("items", {})
            if "properties" in entry or "properties" in items:
                inner[key + ("[]" if items else "")] = items or entry
                continue
            default = json.dumps(entry["default"]) if "default" in entry else ""
            meaning = entry.get("description", "").replace("|", "\\|")
            lines.append(f"| `{key}` | {_kind(entry)} | `{default or 'none'}` | {meaning} |")
        lines += settings(inner, f"{title}.")
    return lines


def _kind(entry: dict[str, Any]) -> str:
    """Type and limits of a setting in words."""
    if "enum" in entry:
        return ", ".join(f"`{choice}`" for choice in entry["enum"])
    if entry["type"] == "array":
        return f"list of {_kind(entry['items'])}"
    low, high = entry.get("minimum"), entry.get("maximum")
    limits = "" if low is None else f" ≥ {low}" if high is None else f" {low} to {high}"
    return re.sub("integer", "whole number", entry["type"]) + limits
