"""The Transformers backend against hand computations on a tiny model, and SmolLM2 from PyPI."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promed_env.errors import BackendError
from promed_env.llm import LanguageModel, make_llm
from promed_env.llm.hf import HFModel, load_hf
from promed_env.llm.tokens import choice_tokens, prompt_tokens

torch = pytest.importorskip("torch", reason="the extra llm is not installed")
pytest.importorskip("transformers", reason="the extra llm is not installed")

WORDS = ["Do", "you", "have", "fever", "pain", "cough", "the", "I", "know", "what", "hurt", "days"]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
dialogues = st.lists(texts, min_size=1, max_size=3).map(
    lambda said: [
        {"role": "user" if index % 2 == 0 else "assistant", "content": text} for index, text in enumerate(said)
    ]
)


def logits_after(model: HFModel, ids: list[int]) -> Any:
    """Logits at every place of one row, unpadded and without a cache."""
    with torch.inference_mode():
        return model.model(input_ids=torch.tensor([ids])).logits[0].double()


def test_a_model_has_the_interface(tiny: HFModel) -> None:
    assert isinstance(tiny, LanguageModel)
    assert make_llm(tiny) is tiny
    assert repr(tiny) == "HFModel('hf:tiny', device='cpu', dtype='torch.float32')"


def test_an_empty_batch_costs_nothing(tiny: HFModel) -> None:
    assert tiny.chat([]) == [] and tiny.choice_logprobs([], []) == [] and tiny.logprob([], []) == []


@settings(max_examples=20)
@given(st.lists(dialogues, min_size=1, max_size=5))
def test_choosing_is_the_softmax_of_the_letters_next_token_logits(tiny: HFModel, chats: list[Any]) -> None:
    letters = ["ABCDE"[: 2 + index % 4] for index in range(len(chats))]
    for chat, own, found in zip(chats, letters, tiny.choice_logprobs(chats, letters), strict=True):
        ids = prompt_tokens(tiny.tokenizer, chat) + tiny.tokenizer.encode("answer :", add_special_tokens=False)
        logits = logits_after(tiny, ids)[-1][tiny.tokenizer.convert_tokens_to_ids(list(own))]
        np.testing.assert_allclose(found, torch.log_softmax(logits, -1).numpy(), atol=1e-4)
        assert np.exp(found).sum() == pytest.approx(1)


@settings(max_examples=20)
@given(st.lists(st.tuples(dialogues, texts), min_size=1, max_size=5))
def test_a_text_is_as_likely_as_its_tokens_one_by_one(tiny: HFModel, pairs: list[tuple[Any, str]]) -> None:
    found = tiny.logprob([chat for chat, _ in pairs], [text for _, text in pairs])
    for (chat, text), likelihood in zip(pairs, found, strict=True):
        ids = prompt_tokens(tiny.tokenizer, chat)
        parts = []
        for token in tiny.tokenizer.encode(text, add_special_tokens=False):
            parts.append(float(torch.log_softmax(logits_after(tiny, ids)[-1], -1)[token]))
            ids.append(token)
        assert likelihood.total == pytest.approx(sum(parts), abs=1e-3)
        assert likelihood.mean == pytest.approx(sum(parts) / len(parts), abs=1e-3)


@settings(max_examples=10)
@given(st.lists(dialogues, min_size=2, max_size=6), st.sampled_from([0.0, 1.0]), st.sampled_from([1, 60, 10_000]))
def test_what_is_said_does_not_depend_on_the_batch(
    tiny: HFModel, chats: list[Any], temperature: float, room: int
) -> None:
    packed = HFModel(tiny.model, tiny.tokenizer, "hf:tiny", max_batch_tokens=room)
    together = packed.chat(chats, max_new_tokens=8, temperature=temperature, seed=5)
    alone = [
        tiny.chat([chat], max_new_tokens=8, temperature=temperature, seed=[5 + index])[0]
        for index, chat in enumerate(chats)
    ]
    assert together == alone


def test_greedy_is_the_most_probable_token_each_time(tiny: HFModel) -> None:
    chat = [{"role": "user", "content": "Do you have fever ?"}]
    ids = prompt_tokens(tiny.tokenizer, chat)
    said: list[int] = []
    for _ in range(6):
        said.append(int(logits_after(tiny, ids + said)[-1].argmax()))
        if said[-1] == tiny.tokenizer.eos_token_id:
            break
    (found,) = tiny.chat([chat], max_new_tokens=6)
    assert found.tokens == len(said)
    assert found.text == tiny.tokenizer.decode(said, skip_special_tokens=True)


def test_what_it_must_not_say_it_does_not_say_and_goes_on_with_the_next_best(tiny: HFModel) -> None:
    chat = [{"role": "user", "content": "Do you have fever ?"}]
    prompt = prompt_tokens(tiny.tokenizer, chat)
    said: list[str] = []
    for _ in range(4):  # one token each: the likeliest, the second, and so on
        (found,) = tiny.chat([chat], max_new_tokens=1, unlike=[said])
        said.append(found.text)
    best = logits_after(tiny, prompt)[-1].argsort(descending=True)[:4].tolist()
    assert said == [tiny.tokenizer.decode([token], skip_special_tokens=True) for token in best]
    (plain,) = tiny.chat([chat], max_new_tokens=3)
    other, same = tiny.chat([chat, chat], max_new_tokens=3, unlike=[[plain.text], []])
    assert same == plain != other
    ids = tiny.tokenizer.encode(plain.text, add_special_tokens=False)
    assert (
        tiny.tokenizer.encode(other.text, add_special_tokens=False)[: len(ids) - 1] == ids[:-1]
    )  # only its end differs


def test_sampling_follows_the_distribution_and_the_seed(tiny: HFModel) -> None:
    chat = [{"role": "user", "content": "Do you smoke ?"}]
    n = 2000
    said = tiny.chat([chat] * n, max_new_tokens=1, temperature=1.0, seed=0)
    p = torch.softmax(logits_after(tiny, prompt_tokens(tiny.tokenizer, chat))[-1], -1).numpy()
    for token in np.argsort(-p)[:3]:
        text = tiny.tokenizer.decode([int(token)], skip_special_tokens=True)
        share = sum(completion.text == text for completion in said) / n
        assert share == pytest.approx(p[token], abs=4 * np.sqrt(p[token] * (1 - p[token]) / n))
    assert tiny.chat([chat] * 9, max_new_tokens=4, temperature=1.0, seed=3) == tiny.chat(
        [chat] * 9, max_new_tokens=4, temperature=1.0, seed=list(range(3, 12))
    )
    with pytest.raises(ValueError, match="1 dialogues need 1 seeds, got 2"):
        tiny.chat([chat], seed=[1, 2])


def test_a_stop_string_ends_the_text_before_it(tiny: HFModel) -> None:
    chat = [{"role": "user", "content": "Do you have fever ?"}]
    (whole,) = tiny.chat([chat], max_new_tokens=8)
    words = whole.text.split()
    assert len(words) >= 2
    (cut,) = tiny.chat([chat], max_new_tokens=8, stop=[words[1]])
    assert cut.text == whole.text[: whole.text.index(words[1], 1)]
    assert cut.tokens <= whole.tokens


def test_what_cannot_be_asked_is_said(tiny: HFModel) -> None:
    chat = [{"role": "user", "content": "Do you smoke ?"}]
    with pytest.raises(ValueError, match="1 dialogues need 1 lists of letters, got 2"):
        tiny.choice_logprobs([chat], ["AB", "AB"])
    with pytest.raises(ValueError, match="at least two different letters, got \\['A'\\]"):
        tiny.choice_logprobs([chat], ["A"])
    with pytest.raises(ValueError, match="cannot rate an empty text"):
        tiny.logprob([chat], [""])
    with pytest.raises(BackendError, match="reads at most 512 tokens; a dialogue needs 731, 128 of them to be"):
        tiny.chat([[{"role": "user", "content": "fever " * 600}]])
    with pytest.raises(BackendError, match=r"a dialogue needs .*: shorten it, or use a model with a longer context"):
        tiny.logprob([[{"role": "user", "content": "fever " * 600}]], ["Yes"])
    with pytest.raises(BackendError, match="does not end 'answer: ' and one of"):
        choice_tokens(tiny.tokenizer, "answer: ", ["A", "A B"])


def test_a_saved_model_loads_and_pickled_weights_do_not(tiny: HFModel, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    chat = [{"role": "user", "content": "Do you smoke ?"}]
    loaded = load_hf(folder, device="cpu")
    np.testing.assert_allclose(
        loaded.choice_logprobs([chat], ["ABC"])[0], tiny.choice_logprobs([chat], ["ABC"])[0], atol=1e-5
    )
    assert loaded.name == f"hf:{folder}"
    assert make_llm(f"hf:{folder}") is make_llm(f"hf:{folder}")
    torch.save(tiny.model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BackendError, match="no pickled weights are read, unless asked for"):
        load_hf(folder, device="cpu")


def test_the_fingerprint_tells_models_that_rate_otherwise_and_not_where_they_lie(tiny: HFModel, tmp_path: Path) -> None:
    for place in ("one", "two"):
        tiny.model.save_pretrained(tmp_path / place)
        tiny.tokenizer.save_pretrained(tmp_path / place)

    def loaded(**how: Any) -> HFModel:
        return load_hf(tmp_path / "one", device="cpu", **how)

    theta, tokens, template, weights = loaded(), loaded(), loaded(), loaded()
    theta.model.config.rope_parameters["rope_theta"] = 77.0
    tokens.tokenizer.add_tokens(["rash"])
    template.tokenizer.chat_template += "\n"
    with torch.no_grad():
        weights.model.lm_head.weight[0, 0] += 1
    changed = [theta, tokens, template, weights, loaded(dtype="bfloat16")]
    assert len({model.fingerprint for model in [loaded(), *changed]}) == 6
    assert load_hf(tmp_path / "two", device="cpu").fingerprint == loaded().fingerprint
    coarse = loaded().model.bfloat16()  # most checkpoints are stored so, and computed in float32 or not
    models = [HFModel(coarse, tiny.tokenizer, "hf:a"), HFModel(deepcopy(coarse).float(), tiny.tokenizer, "hf:b")]
    assert models[0].fingerprint != models[1].fingerprint


@pytest.mark.parametrize(
    ("spec", "message"),
    [("hf:/no/such/folder", "cannot load the model"), ("hf:/no/such.gguf", "there is no GGUF file /no/such.gguf")],
)
def test_a_model_that_is_not_there_is_an_error(spec: str, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        make_llm(spec)


@pytest.mark.parametrize(
    ("spec", "package", "extra"), [("hf:x", "torch", "llm"), ("vllm:x", "vllm", "scale"), ("openai:x", "openai", "llm")]
)
def test_a_missing_package_is_an_error_that_names_the_extra(
    spec: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for backend in ("hf", "vllm", "server"):
        monkeypatch.setattr(f"promed_env.llm.{backend}.find_spec", lambda name: None)
    with pytest.raises(BackendError, match=rf'need the package {package}: pip install "promed\[{extra}\]"'):
        make_llm(spec)


def test_a_name_that_names_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="'openai:' names no model"):
        make_llm("openai:")
    with pytest.raises(TypeError, match="a language model has name, chat, choice_logprobs and logprob; 3 does not"):
        make_llm(3)  # type: ignore[arg-type]


def test_nothing_heavy_is_imported_before_a_model_is_made() -> None:
    script = (
        "import sys, promed_env, promed_env.llm, promed_env.llm.hf, promed_env.llm.server, promed_env.llm.vllm\n"
        "import promed_env.patients.llm, promed_agents.llm\n"
        "print([name for name in ('torch', 'transformers', 'openai', 'vllm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.llm
def test_smollm2_speaks_chooses_and_rates(smollm2: HFModel) -> None:
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    (said,) = smollm2.chat([chat], max_new_tokens=12)
    assert "Paris" in said.text
    better, worse = smollm2.logprob([chat] * 2, ["The capital of France is Paris.", "Paris of is capital France the."])
    assert better.mean > worse.mean
    (chosen,) = smollm2.choice_logprobs([chat], ["ABCD"])
    assert chosen.shape == (4,) and np.exp(chosen).sum() == pytest.approx(1)
    choice = choice_tokens(smollm2.tokenizer, "answer: ", "ABCD")
    assert smollm2.tokenizer.convert_ids_to_tokens(choice.letters) == ["ĠA", "ĠB", "ĠC", "ĠD"]
