"""Prefix trees: every row is read as it would be alone, and shared tokens are read once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promed_env.llm.hf import HFModel
from promed_env.llm.prefixes import distinct_tokens, packs

rows_of = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=12)


@given(rows_of, st.integers(1, 40))
def test_a_path_spells_its_row_and_attends_to_itself_alone(rows: list[list[int]], most: int) -> None:
    seen = []
    for pack in packs(rows, most):
        assert len(pack.ids) <= max(most, *(len(rows[index]) for index in pack.members))
        for index, path in zip(pack.members, pack.paths, strict=True):
            seen.append(index)
            assert pack.ids[path].tolist() == rows[index]
            assert pack.depths[path].tolist() == list(range(len(rows[index])))
            for depth, token in enumerate(path):
                assert np.flatnonzero(pack.attends[token]).tolist() == sorted(path[: depth + 1].tolist())
    assert sorted(seen) == list(range(len(rows)))


@given(rows_of)
def test_one_tree_holds_every_distinct_beginning_once(rows: list[list[int]]) -> None:
    beginnings = {tuple(row[: place + 1]) for row in rows for place in range(len(row))}
    (pack,) = packs(rows, 10_000)
    assert len(pack.ids) == distinct_tokens(rows) == len(beginnings)


@pytest.mark.parametrize("most", [40, 1000])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_trees_rate_what_batches_rate(tiny: HFModel, most: int, data: st.DataObject) -> None:
    torch = pytest.importorskip("torch")
    words = st.integers(6, 25)
    head = data.draw(st.lists(words, min_size=5, max_size=10))
    rows = [head + data.draw(st.lists(words, min_size=3, max_size=6)) for _ in range(6)]
    last = [data.draw(st.integers(1, 3)) for _ in rows]
    model = HFModel(tiny.model, tiny.tokenizer, "hf:tiny", max_batch_tokens=most)
    with torch.inference_mode():
        trees, batches = (
            {index: logits.clone() for index, logits in how(rows, last)} for how in (model._in_trees, model._in_batches)
        )
    assert trees.keys() == batches.keys() == set(range(6))
    for index, logits in trees.items():
        torch.testing.assert_close(logits, batches[index], atol=1e-4, rtol=1e-4)


@pytest.mark.llm
def test_smollm2_rates_coalitions_as_it_rates_them_one_by_one(smollm2: HFModel) -> None:
    facts = ["Denies fever.", "Coughs at night.", "Smokes a pack a day.", "Has lost weight."]
    contexts = [
        [{"role": "user", "content": "What is it?\n" + "\n".join(f for i, f in enumerate(facts) if code >> i & 1)}]
        for code in range(16)
    ]
    before = smollm2.tokens_rated
    together = smollm2.logprob(contexts, ["answer: Asthma"] * 16)
    read = smollm2.tokens_rated - before
    alone = [smollm2.logprob([context], ["answer: Asthma"])[0] for context in contexts]
    assert read < 0.6 * (smollm2.tokens_rated - before - read)
    np.testing.assert_allclose([each.total for each in together], [each.total for each in alone], atol=1e-3)
