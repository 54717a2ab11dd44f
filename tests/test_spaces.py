"""`Utterance`: any Unicode string up to a length, at home in Gymnasium's vector and shared-memory utilities."""

from __future__ import annotations

import copy
import json
import multiprocessing

import pytest
from gymnasium.spaces.utils import flatten_space
from gymnasium.vector.utils import (
    batch_space,
    concatenate,
    create_empty_array,
    create_shared_memory,
    iterate,
    read_from_shared_memory,
    write_to_shared_memory,
)
from hypothesis import given
from hypothesis import strategies as st

from promed_env.spaces import Utterance


@given(st.lists(st.text(max_size=40), min_size=3, max_size=3))
def test_shared_memory_gives_back_any_unicode(texts: list[str]) -> None:
    space = Utterance(40)
    memory = create_shared_memory(space, n=3, ctx=multiprocessing)
    view = read_from_shared_memory(space, memory, n=3)
    assert tuple(view) == ("", "", "")
    for index, text in enumerate(texts):
        write_to_shared_memory(space, index, text, memory)
    assert copy.deepcopy(view) == view[:] == tuple(texts)  # the view is alive, as AsyncVectorEnv expects
    assert (len(view), view[-1]) == (3, texts[2])


def test_the_longest_utterances_do_not_run_into_their_neighbours() -> None:
    space = Utterance(5)
    memory = create_shared_memory(space, n=3)
    for index in (1, 0, 2):
        write_to_shared_memory(space, index, "🙂" * 5, memory)
    write_to_shared_memory(space, 1, "", memory)
    assert tuple(read_from_shared_memory(space, memory, n=3)) == ("🙂" * 5, "", "🙂" * 5)


def test_shared_memory_holds_even_lone_surrogates() -> None:
    space = Utterance(4)
    memory = create_shared_memory(space, n=1)
    write_to_shared_memory(space, 0, "\ud800x", memory)
    assert tuple(read_from_shared_memory(space, memory, n=1)) == ("\ud800x",)


def test_utterances_behave_as_a_space() -> None:
    space = Utterance(30, seed=1)
    assert "x" * 30 in space and "你好" in space and "" in space
    assert "x" * 31 not in space and 3 not in space and None not in space
    samples = [space.sample() for _ in range(50)]
    assert all(sample in space for sample in samples) and len(set(samples)) > 10
    space.seed(1)
    assert [space.sample() for _ in range(50)] == samples
    assert space == Utterance(30) != Utterance(31)
    assert repr(space) == "Utterance(30)"
    assert space.from_jsonable(json.loads(json.dumps(space.to_jsonable(samples)))) == samples
    assert not space.is_np_flattenable
    batch = batch_space(space, 2)
    assert concatenate(space, ["a", "b"], create_empty_array(space, 2)) == ("a", "b")
    assert list(iterate(batch, ("a", "b"))) == ["a", "b"]
    with pytest.raises(NotImplementedError):
        flatten_space(space)
    with pytest.raises(ValueError, match="max_length >= 1"):
        Utterance(0)
    with pytest.raises(ValueError, match="neither mask nor probability"):
        space.sample(mask=1)  # type: ignore[arg-type]
