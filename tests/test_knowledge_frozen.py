"""Version 1 of the primary-care knowledge base is frozen: results made on it can be compared."""

from __future__ import annotations

from promed_env.knowledge import primary_care


def test_version_1_is_what_it_was() -> None:
    base = primary_care()
    assert base.version == "1"
    assert base.fingerprint == "402568ff543b06cf2e517da75feb557305d5882d52a088fc05e1be2289087d7b"


def test_it_is_as_broad_as_a_benchmark_needs() -> None:
    base = primary_care()
    assert len(base.conditions) >= 48
    assert len(base.complaints) >= 8
    assert len(base.findings) >= 160
    for complaint in base.complaints:
        assert sum(complaint.id in condition.complaints for condition in base.conditions) >= 7, complaint.id
    for ids in base.held_out.values():
        covered = {key for condition in base.conditions if condition.id in ids for key in condition.complaints}
        assert covered == set(base.complaint_index)
