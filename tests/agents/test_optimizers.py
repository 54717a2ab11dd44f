"""Muon with AdamW: each trained weight in one group, steps as torch's own take them, and state that is saved whole."""

from __future__ import annotations

import copy

import pytest
import torch
from promed_agents.models import Lora
from promed_agents.optimizers import EMBEDDING_FACTOR, MuonWithAdamW
from transformers import LlamaConfig, LlamaForCausalLM

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # the library's own


def model(tied=True):
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=11,
            hidden_size=8,
            intermediate_size=12,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=tied,
        )
    )


def train(network, optimizer, steps, seed=0):
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        ids = torch.randint(11, (2, 5), generator=draw)
        optimizer.zero_grad()
        network(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()


@pytest.mark.parametrize("tied", [True, False])
def test_matrices_between_layers_are_muons_and_all_else_is_adamws(tied):
    network = model(tied)
    names = {parameter: name for name, parameter in network.named_parameters()}
    muons, embedded, plain = (
        {names[each] for each in group["params"]} for group in MuonWithAdamW(network, lr=1e-3).param_groups
    )
    assert muons == {name for name in names.values() if "_proj" in name}
    assert embedded == {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    assert plain == {name for name in names.values() if "norm" in name}
    assert len(muons | embedded | plain) == len(names)


def test_its_steps_are_those_of_torchs_own():
    ours, theirs = model(), model()
    train(ours, MuonWithAdamW(ours, lr=1e-2, weight_decay=0.1), 3)
    named = dict(theirs.named_parameters())
    matrices = [each for name, each in named.items() if "_proj" in name]
    norms = [each for name, each in named.items() if "norm" in name]
    muon = torch.optim.Muon(matrices, lr=1e-2, weight_decay=0.1)
    decayed = torch.optim.AdamW([named["model.embed_tokens.weight"]], lr=EMBEDDING_FACTOR * 1e-2, weight_decay=0.1)
    plain = torch.optim.AdamW(norms, lr=1e-2, weight_decay=0.0)

    class Three:
        def zero_grad(self):
            theirs.zero_grad()

        def step(self):
            for each in (muon, decayed, plain):
                each.step()

    train(theirs, Three(), 3)
    for name, weight in ours.state_dict().items():
        assert torch.equal(weight, theirs.state_dict()[name]), name
    assert not torch.equal(ours.state_dict()["lm_head.weight"], model().state_dict()["lm_head.weight"])


def test_what_is_saved_goes_on_as_if_it_had_not_stopped():
    whole = model()
    optimizer = MuonWithAdamW(whole, lr=1e-2)
    train(whole, optimizer, 2)
    stopped = copy.deepcopy(whole)
    saved = copy.deepcopy(optimizer.state_dict())
    resumed = MuonWithAdamW(stopped, lr=5.0)
    resumed.load_state_dict(saved)
    train(whole, optimizer, 2, seed=1)
    train(stopped, resumed, 2, seed=1)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, stopped.state_dict()[name]), name


def test_a_schedule_moves_both():
    network = model()
    optimizer = MuonWithAdamW(network, lr=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)
    train(network, optimizer, 1)
    schedule.step()
    before = copy.deepcopy(network.state_dict())
    train(network, optimizer, 1)
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


def test_adapters_are_matrices_and_without_any_there_is_nothing_to_do():
    from peft import get_peft_model

    adapted = get_peft_model(model(), Lora().config())
    (muons,) = MuonWithAdamW(adapted, lr=1e-3).param_groups
    assert len(muons["params"]) == 2 * 2 * 2  # A and B of q and v in two layers
    frozen = model()
    for name, parameter in frozen.named_parameters():
        parameter.requires_grad = "norm" in name
    with pytest.raises(ValueError, match="none is trained here as a matrix"):
        MuonWithAdamW(frozen, lr=1e-3)


def test_a_copy_goes_on_and_an_added_group_is_refused():
    network = model()
    optimizer = MuonWithAdamW(network, lr=1e-2)
    train(network, optimizer, 1)
    copied, again = copy.deepcopy((network, optimizer))
    train(network, optimizer, 1)
    train(copied, again, 1)
    assert all(torch.equal(weight, copied.state_dict()[name]) for name, weight in network.state_dict().items())
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2, 2))]})
    with pytest.raises(RuntimeError, match="group of parameters was added"):
        train(network, optimizer, 1)


def test_embeddings_of_positions_are_no_matrices_of_layers():
    from transformers import GPT2Config, GPT2LMHeadModel

    network = GPT2LMHeadModel(GPT2Config(vocab_size=11, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    names = {parameter: name for name, parameter in network.named_parameters()}
    muons, decayed, plain = ({names[p] for p in g["params"]} for g in MuonWithAdamW(network, lr=1e-3).param_groups)
    assert decayed == {"transformer.wte.weight", "transformer.wpe.weight"}
    assert all(name.startswith("transformer.h.0.") for name in muons)
    assert all(name.endswith("bias") or "ln_" in name for name in plain)
