"""The table of settings in ``docs/collector.md``, of the settings themselves.

``python -m exray.collector.settings_table`` prints it.
"""

from .settings import Settings


def settings_table() -> str:
    """Return all settings with default and meaning, as a table of Markdown."""
    lines = ["| key | default | |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`".replace("True", "true")
        lines.append(f"| `{name}` | {default.replace('False', 'false')} | {field.description} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(settings_table())
