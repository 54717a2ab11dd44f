"""What all tests share: hypothesis profiles, and the folder of the real data for tests marked `real`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

settings.register_profile("promed", deadline=None, derandomize=True)
settings.load_profile("promed")


@pytest.fixture(scope="session")
def mediq_file() -> Path:
    """The first 1,000 rows of MediQ; skips where they are not at hand."""
    path = REAL_DATA / "mediq" / "dev_0000-0999.jsonl"
    if not path.exists():
        pytest.skip("the real MediQ rows are not in ../shared/data")
    return path
