"""Settings: options before the file before the defaults, and mistakes named."""

from pathlib import Path

import pytest

from exray.collector.settings import Settings, load_settings
from exray.collector.settings_table import settings_table
from exray.schema.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_option_comes_before_the_file_and_that_before_the_default(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("lake: there\nthreads: 3\n")
    settings = load_settings(file, {"lake": "here", "http": None})
    assert (settings.lake, settings.threads) == ("here", 3)
    assert settings.http == Settings().http


def test_toml_is_read_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('lake = "there"\n')
    assert load_settings(file, {}).lake == "there"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("thread: 3", r"c\.yaml: thread: there is no such key; keys: .*threads"),
        ("threads: many", r"c\.yaml: threads: expected .*integer"),
        ("when_full: panic", "when_full: expected 'refuse' or 'drop_oldest'"),
        ("retry_after_s: 60", "retry_after_s: expected less than or equal to 2"),
        ("- a", "holds no keys"),
        ("a: [", "no YAML"),
    ],
)
def test_mistake_in_the_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(content)
    with pytest.raises(UsageError, match=message):
        load_settings(file, {})


def test_mistake_in_an_option_names_the_option() -> None:
    with pytest.raises(UsageError, match=r"^--when-full: expected"):
        load_settings(None, {"when_full": "panic"})


def test_every_setting_is_described_in_the_documents() -> None:
    assert settings_table() in (ROOT / "docs" / "collector.md").read_text("utf-8")
    assert all(field.description for field in Settings.model_fields.values())
