from collections.abc import Generator

import pytest

from exray.collector.native_library import otlp_library


@pytest.fixture
def without_otlp_library(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Do without the collector's native library, as where no compiler built it."""
    monkeypatch.setenv("EXRAY_NATIVE", "off")
    otlp_library.cache_clear()
    yield
    otlp_library.cache_clear()
