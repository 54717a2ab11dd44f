"""A branch is what the model would read if the dialogue ended there, and the dialogue does not notice its branches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from promed_agents.answer_forks import NO_FORK, PADDING, answer_forks, forked_attention, forking
from promed_agents.baselines import RandomInterview
from promed_agents.chat import to_messages
from promed_agents.chat_format import ChatFormat
from promed_agents.evaluate import evaluate
from promed_agents.models import load_model
from promed_agents.setting import Setting
from promed_agents.sft import _collate, tokenized

SETTING = Setting("ProMed-MedQA-v0", reward="diagnosis", max_questions=4)


@pytest.fixture(scope="module")
def spoken():
    """A model, its chat format, and random interviews with their cases."""
    model, tokenizer = load_model("tiny", SETTING, tiny={"hidden": 32, "layers": 2, "length": 2048})
    finished = []
    evaluate(RandomInterview(), SETTING, SETTING.load(4), on_finish=finished.append)
    dialogues = [to_messages(final, dynamics) for final, dynamics in finished]
    return model, ChatFormat(tokenizer), dialogues, [final.case for final, _ in finished]


def log_probs(model, **inputs):
    with torch.no_grad():
        return torch.log_softmax(model(**inputs).logits, dim=-1)


@pytest.mark.parametrize("words", [True, False])
def test_every_branch_is_scored_as_the_dialogue_that_ends_with_it(spoken, words):
    model, chat, dialogues, cases = spoken
    rows = list(tokenized(dialogues, chat, cases, words=words))
    batch = _collate(rows, pad_id=chat.tokenizer.pad_token_id)
    with forking(model, batch["positions"], batch["forks"]):
        found = log_probs(model, input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    scored = 0
    for row, (messages, case) in enumerate(zip(dialogues, cases, strict=True)):
        options = {option.key: option.text if words else option.key for option in case.options}
        right = "answer: " + ("; " if words else ", ").join(options[key] for key in case.answer)
        whole = chat.tokenize(messages)
        length = len(whole.ids)
        plain = log_probs(model, input_ids=torch.tensor([whole.ids]))[0]
        torch.testing.assert_close(found[row, :length], plain, atol=2e-5, rtol=0)
        targets, forks = batch["shift_labels"][row, length:], batch["forks"][row, length:]
        said = chat.doctor(right)
        turns = sum(message["role"] == "assistant" for message in messages) - 1
        assert len(forks[forks != PADDING].unique()) == turns > 0
        for turn in range(turns):
            ended = chat.tokenize([*messages[: 2 * turn + 1], {"role": "assistant", "content": right}])
            plain = log_probs(model, input_ids=torch.tensor([ended.ids]))[0]
            columns = (forks == len(ended.ids) - len(said)).nonzero()[:, 0]
            for place, column in enumerate(columns):
                target = int(targets[column])
                assert target in (-100, said[place + 1])
                if target != -100:
                    expected = plain[len(ended.ids) - len(said) + place, target]
                    torch.testing.assert_close(found[row, length + column, target], expected, atol=2e-5, rtol=0)
                    scored += 1
    assert scored >= 8


def test_a_model_that_adds_its_mask_scores_alike_and_one_that_takes_none_is_refused(spoken):
    model, chat, dialogues, cases = spoken
    batch = _collate(list(tokenized(dialogues, chat, cases)), pad_id=chat.tokenizer.pad_token_id)
    real, found = batch["attention_mask"].bool(), {}
    for kind in ("sdpa", "eager"):
        model.set_attn_implementation(kind)
        with forking(model, batch["positions"], batch["forks"]):
            found[kind] = log_probs(model, input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[real]
    torch.testing.assert_close(found["sdpa"], found["eager"], atol=2e-5, rtol=0)
    model.set_attn_implementation("sdpa")
    model.config._attn_implementation = "flash_attention_2"
    try:
        with (
            pytest.raises(ValueError, match="need a mask of their own"),
            forking(model, batch["positions"], batch["forks"]),
        ):
            pass
    finally:
        model.set_attn_implementation("sdpa")


def test_what_all_answers_begin_with_is_not_learnt(spoken):
    """That the doctor answers now is its own choice; only what it answers is supervised."""
    _, chat, _, cases = spoken
    forks = answer_forks(cases[0], [5], chat, words=False)
    others = [chat.doctor(f"answer: {option.key}") for option in cases[0].options]
    alike = next(place for place in range(len(others[0])) if len({other[place] for other in others}) > 1)
    assert alike >= 1
    assert forks.targets[: alike - 1] == [-100] * (alike - 1)
    assert forks.targets[alike - 1 :] == chat.doctor(f"answer: {cases[0].answer[0]}")[alike:]


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(1, 11), st.integers(1, 4)), max_size=4), st.integers(0, 3))
def test_attention_is_that_of_separate_dialogues(length, branches, padding):
    """The definition, token by token: the dialogue before the branch, then the branch itself."""
    branches = [(min(start, length), size) for start, size in {start: size for start, size in branches}.items()]
    branches = list(dict(branches).items())
    tokens = [("trunk", place) for place in range(length)]
    tokens += [(start, place) for start, size in branches for place in range(start, start + size)]
    positions = torch.tensor([[place for _, place in tokens] + [0] * padding])
    forks = torch.tensor([[NO_FORK if owner == "trunk" else owner for owner, _ in tokens] + [PADDING] * padding])
    mask = forked_attention(positions, forks)
    assert mask.shape == (1, 1, len(tokens) + padding, len(tokens) + padding)
    for row, (owner, place) in enumerate(tokens):
        reads = [("trunk", each) for each in range(place + 1 if owner == "trunk" else owner)]
        reads += [] if owner == "trunk" else [(owner, each) for each in range(owner, place + 1)]
        assert [tokens[column] for column in mask[0, 0, row].nonzero()[:, 0].tolist()] == reads
    assert mask.any(dim=-1).all()  # no row of a softmax is empty, padding included


class _Joining(ChatFormat):
    def doctor(self, utterance):
        return [hash(utterance) % 1000, self.end_id]


def test_a_tokenizer_that_joins_answer_and_option_is_refused(spoken):
    _, chat, _, cases = spoken
    with pytest.raises(ValueError, match="one token"):
        answer_forks(cases[0], [1], _Joining(chat.tokenizer), words=False)
