"""Files that appear whole, and files that grow line by line."""

from __future__ import annotations

from promed_agents.files import kept_lines


def test_a_line_that_was_cut_off_is_taken_away_and_others_are_kept_as_they_are(tmp_path):
    path = tmp_path / "part.jsonl"
    path.write_text('{"a": "one\u2028line"}\n{"b": 2}\n{"c": ', encoding="utf-8")
    assert kept_lines(path) == ['{"a": "one\u2028line"}', '{"b": 2}']
    assert path.read_text(encoding="utf-8") == '{"a": "one\u2028line"}\n{"b": 2}\n'
    path.write_text("cut")
    assert kept_lines(path) == [] and path.read_text() == ""
