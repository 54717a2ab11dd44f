"""Dialogues as tokens, small models, and a language model that plays with a cache kept across turns."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from promed_agents.chat_format import ChatFormat
from promed_agents.evaluate import evaluate
from promed_agents.interviews import interviews_of
from promed_agents.language_policy import LanguagePolicy
from promed_agents.models import load_model
from promed_agents.rollout import play
from promed_agents.setting import Setting
from promed_agents.tiny import phrase_tokenizer, phrases, tiny_llama

from promed_env.interview import CATALOGUES

SETTING = Setting("ProMed-MedQA-v0", reward="promed", max_questions=3)
CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe brief.<|im_end|>\n{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def tiny():
    """A model of two small layers with random weights, and its tokenizer."""
    model, tokenizer = load_model("tiny", SETTING, tiny={"hidden": 32, "layers": 2, "length": 8192})
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def chatml(tiny):
    """The same tokenizer with a template like those of well-known models: a system message, line breaks after turns."""
    from copy import deepcopy

    tokenizer = deepcopy(tiny[1])
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = CHATML
    return tokenizer


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda text: text.strip() == text and "<|" not in text
)
dialogues = st.lists(st.tuples(words, words), min_size=1, max_size=4).map(
    lambda pairs: [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
)


@pytest.mark.parametrize("which", ["tiny", "chatml"])
@settings(max_examples=50)
@given(messages=dialogues)
def test_a_dialogue_is_what_the_template_makes_of_it_and_the_doctors_tokens_are_the_doctors(
    which, messages, tiny, chatml
):
    tokenizer = tiny[1] if which == "tiny" else chatml
    chat = ChatFormat(tokenizer)
    found = chat.tokenize(messages)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    spoken = tokenizer.decode(found.ids)
    assert whole.startswith(spoken)
    assert whole[len(spoken) :].strip() == ""  # what follows the doctor's last token is no token of a dialogue
    runs = []
    for token, own in zip(found.ids, found.doctor, strict=True):
        if own and (not runs or runs[-1][-1] == chat.end_id):
            runs.append([])
        if own:
            runs[-1].append(token)
    assert [chat.text(run) for run in runs] == [m["content"] for m in messages if m["role"] == "assistant"]


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])).filter(lambda text: "<|" not in text))
def test_a_phrase_tokenizer_loses_nothing(tiny, text):
    _, tokenizer = tiny
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@given(messages=dialogues)
def test_phrases_join_up_to_what_was_said(messages):
    assert ["".join(turn) for turn in phrases(messages)] == [message["content"] for message in messages]


def test_what_is_said_often_is_one_token_and_an_option_is_the_same_token_wherever_it_stands():
    options = list(itertools.permutations(["Gout", "Sprain", "Lyme disease", "Pseudogout"], 2))
    said = [
        [
            {
                "role": "user",
                "content": f"I am a {40 + 3 * index}-year-old man. It hurts.\n\nWhat is it?\nA. {a}\nB. {b}",
            },
            {"role": "assistant", "content": "question: Is it red?"},
            {"role": "user", "content": f"Patient: It is {('red', 'pale', 'blue')[index % 3]}.\nQuestions left: 9."},
            {"role": "assistant", "content": f"answer: {a}"},
        ]
        for index, (a, b) in enumerate(options)
    ]
    tokenizer = phrase_tokenizer(said, least=2)
    pieces = [
        [tokenizer.decode([i]) for i in tokenizer.encode(message["content"], add_special_tokens=False)]
        for message in said[0]
    ]
    assert pieces[0] == ["I am a ", "4", "0", "-year-old man. It hurts.\n\nWhat is it?\nA. ", "Gout", "\nB. ", "Sprain"]
    assert pieces[1] == ["question: Is it red?"]
    assert pieces[2] == ["Patient: ", "It is red.", "\nQuestions left: 9."]
    assert pieces[3] == ["answer: ", "Gout"]


def test_templates_that_cannot_be_followed_are_refused(tiny):
    from copy import deepcopy

    tokenizer = deepcopy(tiny[1])
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] | upper }}{% endfor %}"
    with pytest.raises(ValueError, match="does not put an assistant's words"):
        ChatFormat(tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="no chat template"):
        ChatFormat(tokenizer)
    with pytest.raises(ValueError, match="alternates user and assistant"):
        ChatFormat(tiny[1]).tokenize([{"role": "user", "content": "I hurt."}])


def _play(tiny, temperature, *, n=6, first=0, seed=(7,)):
    model, tokenizer = tiny
    policy = LanguagePolicy(model, ChatFormat(tokenizer), temperature=temperature, max_new_tokens=5, seed=seed)
    cases = SETTING.load(6)
    env = SETTING.make(cases[first : first + n])
    ids = [case.case_id for case in cases[first : first + n]]
    return play(policy, env, ids, list(range(first, first + n)), first)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_cache_gives_what_reading_all_again_gives(tiny, temperature):
    model, _ = tiny
    for rollout in _play(tiny, temperature):
        spoken = rollout.spoken
        ids = torch.tensor([spoken.prompt_ids + spoken.completion_ids])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0].float()
        start = len(spoken.prompt_ids)
        log_probs = torch.log_softmax(logits / (temperature or 1.0), dim=-1)
        for place, (token, turn, said) in enumerate(
            zip(spoken.completion_ids, spoken.turns, spoken.log_probs, strict=True)
        ):
            if turn >= 0:
                row = log_probs[start + place - 1]
                assert said == pytest.approx(float(row[token]), abs=1e-4)
                if not temperature:
                    assert float(row[token]) >= float(row.max()) - 1e-4


class _Stubborn(LanguagePolicy):
    """Finds the same tokens likely whatever it hears."""

    def _feed(self, pieces):
        return self.liking(super()._feed(pieces).shape[1]).repeat(len(pieces), 1)

    @staticmethod
    def liking(vocabulary):
        return torch.randn(1, vocabulary, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_doctor_that_does_not_repeat_itself_says_the_next_best(tiny, temperature):
    """One token a turn: the likeliest, then the second, and so on; probabilities are those among what may be said."""
    model, tokenizer = tiny
    chat, cases = ChatFormat(tokenizer), SETTING.load(3)
    said = {}
    for no_repeat in (False, True):
        policy = _Stubborn(model, chat, temperature=temperature, max_new_tokens=1, no_repeat=no_repeat)
        rollouts = play(policy, SETTING.make(cases), [case.case_id for case in cases], [0, 1, 2])
        said[no_repeat] = [
            [t for t, of in zip(r.spoken.completion_ids, r.spoken.turns, strict=True) if of >= 0] for r in rollouts
        ]
        for rollout in rollouts:
            spoken, before = rollout.spoken, []
            for place in [place for place, turn in enumerate(spoken.turns) if turn >= 0]:
                row = policy.liking(model.config.vocab_size)[0]
                assert set(spoken.forbidden[place]) >= set(before if no_repeat else ())
                row[spoken.forbidden[place]] = -torch.inf
                token = spoken.completion_ids[place]
                assert spoken.log_probs[place] == pytest.approx(float(row.log_softmax(dim=-1)[token]), abs=1e-5)
                before.append(token)
    turns = len(said[True][0])
    assert turns > 2
    assert all(len(set(own)) == len(own) for own in said[True])
    if not temperature:
        best = policy.liking(model.config.vocab_size)[0].argsort(descending=True)[:turns].tolist()
        assert said[False] == [[best[0]] * turns] * 3
        assert said[True] == [best] * 3


class _Stutters(LanguagePolicy):
    """Says the same question as often as there is room, whatever it hears."""

    def _feed(self, pieces):
        logits = torch.zeros(super()._feed(pieces).shape)
        said = [self.chat.doctor(f"question: {text}") for text in CATALOGUES["en"]]
        questions = [tokens[0] for tokens in said if len(tokens) == 2]
        logits[:, questions] = torch.arange(len(questions), 0, -1.0)
        return logits


def test_saying_a_question_several_times_is_no_way_to_ask_it_again(tiny):
    """What was heard is the question alone, however often it was said."""
    model, tokenizer = tiny
    policy = _Stutters(model, ChatFormat(tokenizer), max_new_tokens=3, no_repeat=True)
    cases = SETTING.load(2)
    for rollout in play(policy, SETTING.make(cases), [case.case_id for case in cases], [0, 1]):
        assert max(text.count("question: ") for text in rollout.spoken.texts) > 1
        asked = [turn.text for turn in rollout.final.turns if turn.kind == "question"]
        assert len(set(asked)) == len(asked) == SETTING.max_questions


def test_what_a_dialogue_says_does_not_depend_on_those_beside_it(tiny):
    together, apart = _play(tiny, 1.0), [_play(tiny, 1.0, n=1, first=index)[0] for index in range(6)]
    assert [r.spoken.texts for r in together] == [r.spoken.texts for r in apart]
    assert _play(tiny, 1.0, seed=(8,))[0].spoken.texts != together[0].spoken.texts


def test_a_group_with_one_opening_says_what_its_members_say_alone(tiny):
    model, tokenizer = tiny
    case, case2 = SETTING.load(2)
    policy = LanguagePolicy(model, ChatFormat(tokenizer), temperature=1.0, max_new_tokens=5)
    ids = [case.case_id] * 3 + [case2.case_id] * 2
    together = play(policy, SETTING.make(SETTING.load(5)), ids, [4] * 5)
    apart = [
        play(policy, SETTING.make(SETTING.load(1)), [case_id], [4], first)[0] for first, case_id in enumerate(ids[:3])
    ]
    assert [r.spoken.texts for r in together[:3]] == [r.spoken.texts for r in apart]
    assert len({tuple(r.spoken.texts) for r in together[:3]}) > 1


@given(temperature=st.sampled_from([0.0, 0.7, 1.5]), seed=st.integers(0, 100))
@settings(max_examples=10)
def test_rollouts_keep_turns_tokens_and_rewards_together(tiny, temperature, seed):
    chat = ChatFormat(tiny[1])
    for rollout in _play(tiny, temperature, seed=(seed,)):
        spoken, final = rollout.spoken, rollout.final
        assert final.finished
        assert len(spoken.texts) == final.turn == len(rollout.rewards) == len(rollout.hindsight)
        assert sum(rollout.terms.values()) == pytest.approx(rollout.rewards.sum())
        assert rollout.hindsight.sum() == pytest.approx(rollout.rewards.sum())
        assert len(spoken.completion_ids) == len(spoken.turns) == len(spoken.log_probs)
        assert spoken.turns[0] == 0  # a completion begins with the doctor
        assert spoken.completion_ids[-1] == chat.end_id
        assert sorted(set(spoken.turns) - {-1}) == list(range(final.turn))
        for turn, text in enumerate(spoken.texts):
            own = [token for token, of in zip(spoken.completion_ids, spoken.turns, strict=True) if of == turn]
            assert chat.text(own) == text
            assert 1 <= len(own) <= 5


def test_a_dialogue_that_outgrows_the_model_is_an_error(tiny):
    _, tokenizer = tiny
    short = LanguagePolicy(tiny_llama(tokenizer, hidden=32, layers=1, length=16).eval(), ChatFormat(tokenizer))
    short.reset(1)
    with pytest.raises(ValueError, match="the model reads at most 16"):
        short.speak(["word " * 50], [0])


def test_a_policy_is_an_agent(tiny, tmp_path):
    model, tokenizer = tiny
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    doctor = LanguagePolicy.load(tmp_path, max_new_tokens=5)
    result = evaluate(doctor, replace(SETTING, reward="diagnosis"), SETTING.load(4))
    assert result.access == "text"
    assert len(result.episodes) == 4
    rollouts = play(doctor, SETTING.make(SETTING.load(4)), [e.case_id for e in result.episodes], [0, 1, 2, 3])
    assert [e.chosen for e in result.episodes] == [r.final.chosen for r in rollouts]
    assert [len(e.turns) for e in result.episodes] == [r.final.turn for r in rollouts]


def test_bad_arguments(tiny, tmp_path):
    with pytest.raises(ValueError, match="temperature"):
        LanguagePolicy(tiny[0], ChatFormat(tiny[1]), temperature=-1.0)
    with pytest.raises(FileNotFoundError, match="holds no model"):
        LanguagePolicy.load(tmp_path)


@pytest.mark.rl
def test_every_finding_of_the_clinic_is_one_token_however_rare():
    """What a patient says who has it: random questions would hardly ever bring it out."""
    setting = Setting("ProMed-PrimaryCare-v0", split="train", reward="diagnosis")
    _, tokenizer = load_model("tiny", setting, tiny={"hidden": 8, "layers": 1, "heads": 1})
    cases = setting.load_all()[50_000:50_200]
    env = setting.make(cases, num_envs=200)
    env.reset(seed=0, options={"case_id": [case.case_id for case in cases]})
    rare = [
        next((f for i, f in enumerate(case.facts) if f.status == "present" and i not in case.initial), case.facts[0])
        for case in cases
    ]
    observations, *_ = env.step([f"question: {fact.question_text}" for fact in rare])
    lengths = [len(ChatFormat(tokenizer).next(observation)) for observation in observations]
    assert np.mean(np.array(lengths) > 8) < 0.02
    chat = ChatFormat(tokenizer)
    interviews = interviews_of(setting, cases, np.random.default_rng(0))
    openings, _ = env.reset(seed=0, options={"case_id": [case.case_id for case in cases]})
    assert np.median([len(chat.first(opening)) for opening in openings]) <= 22
    assert np.median([len(chat.tokenize(row["messages"]).ids) for row in interviews]) <= 72
