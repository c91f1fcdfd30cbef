"""The network of a latent reward model: early blocks as they were, heads in float32, a gradient."""

import pytest
import torch

from formats.errors import FormatError
from formats.supervised import BadConfigError
from models_align.generators.tiny_wan import gaussian_velocity
from models_align.generators.trunks import described
from models_align.generators.wan import WanGenerator
from models_align.latent_reward.adapting import learning, merge_lora, prepare_for_training
from models_align.latent_reward.config import LatentRewardConfig
from models_align.latent_reward.network import LatentRewardNetwork


def network(generator: WanGenerator, *, pooling: str = "attention", noise: str = "shared"):
    torch.manual_seed(0)
    made = LatentRewardNetwork(generator.trunk(1), ("VQ", "TA"), pooling=pooling, noise=noise)
    for each in made.head.parameters():
        torch.nn.init.normal_(each, std=0.3)
    return made.eval()


@pytest.fixture
def inputs(tiny_wan) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    text = tiny_wan.encode_prompts(["a red circle", "two blue bars"])
    return torch.randn(2, 6, 3, 8, 8), torch.tensor([0.3, 0.9]), text


@torch.no_grad()
def test_the_trunk_is_what_the_generator_computes_before_its_last_layer(tiny_wan, inputs):
    x, t, text = inputs
    transformer = tiny_wan.transformer
    tokens = tiny_wan.trunk(1)(x, t, text)
    modulation, *_ = transformer.condition_embedder(t * 1000, text)
    shift, scale = (transformer.scale_shift_table + modulation.unsqueeze(1)).chunk(2, dim=1)
    out = transformer.proj_out(transformer.norm_out(tokens) * (1 + scale) + shift)
    # [B, 3 x 4 x 4 patches, 1 x 2 x 2 x C] -> latents
    out = out.view(2, 3, 4, 4, 2, 2, 6).permute(0, 6, 1, 2, 4, 3, 5).reshape(x.shape)
    assert torch.equal(out + gaussian_velocity(x, t), tiny_wan.velocity(x, t, text))


def test_a_trunk_is_a_copy_and_is_rebuilt_from_its_description(tiny_wan, inputs):
    trunk = tiny_wan.trunk(0)  # a quarter of one block is one
    again = described(trunk.describe())
    again.load_state_dict(trunk.state_dict())
    assert torch.equal(again(*inputs), trunk(*inputs))
    with torch.no_grad():
        trunk.blocks[0].attn1.to_q.weight.zero_()
    assert tiny_wan.transformer.blocks[0].attn1.to_q.weight.abs().max() > 0
    with pytest.raises(FormatError, match=r"of a Magic; expected one of CogVideoX.*Tiny"):
        described({**trunk.describe(), "transformer": "Magic"})


def test_more_blocks_than_the_generator_has_are_refused(tiny_wan):
    with pytest.raises(BadConfigError, match="between 1 and 1, the depth of this generator, got 2"):
        tiny_wan.trunk(2)


@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_the_gradient_in_x_t_is_right_in_float64(tiny_wan, inputs, pooling, monkeypatch):
    """Wan computes norms in float32 whatever it is given; here that goes up instead of down."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    net = network(tiny_wan, pooling=pooling).double()
    x, t, text = (each[:1].double() for each in inputs)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda each: net(each, t, text), x, fast_mode=True)
    (gradient,) = torch.autograd.grad(net(x, t, text).sum(), x)
    assert gradient.abs().max() > 1e-4


@pytest.mark.filterwarnings("ignore:Mismatch dtype")  # norms keep float32 weights
def test_rewards_are_float32_where_the_blocks_are_not(tiny_wan, inputs):
    net = network(tiny_wan)
    with torch.autocast("cpu", torch.bfloat16):
        low = net(*inputs)
    assert low.dtype is torch.float32
    assert torch.allclose(low, net(*inputs), atol=0.2)


def test_without_queries_attention_is_the_mean(tiny_wan, inputs):
    looking, plain = network(tiny_wan), network(tiny_wan, pooling="mean")
    torch.nn.init.zeros_(looking.head.queries)
    plain.load_state_dict(looking.state_dict(), strict=False)
    assert torch.allclose(looking(*inputs), plain(*inputs), atol=1e-6)


def test_a_model_of_clean_latents_knows_no_time(tiny_wan, inputs):
    x, t, text = inputs
    clean, noised = network(tiny_wan, noise="none"), network(tiny_wan)
    assert torch.equal(clean(x, t, text), clean(x, 1 - t, text))
    assert not torch.equal(noised(x, t, text), noised(x, 1 - t, text))


@pytest.mark.parametrize(("trunk", "inside"), [("full", True), ("frozen", False), ("lora", True)])
def test_what_learns_is_what_the_config_says(tiny_wan, trunk, inside):
    net = network(tiny_wan)
    config = LatentRewardConfig.from_json({"trunk": trunk, "lora": {"r": 2, "alpha": 4}})
    prepare_for_training(net, config, tiny_wan.lora_targets)
    names = learning(net)
    assert {"head.weight", "head.queries"} <= set(names)
    assert any(each.startswith("trunk.") for each in names) is inside
    if trunk == "lora":
        assert all("lora_" in each for each in names if each.startswith("trunk."))


def test_a_folded_lora_gives_the_same_rewards_from_a_plain_trunk(tiny_wan, inputs):
    net = network(tiny_wan)
    config = LatentRewardConfig.from_json({"trunk": "lora", "lora": {"r": 2, "alpha": 8}})
    prepare_for_training(net, config, tiny_wan.lora_targets)
    for name, each in learning(net).items():
        if "lora_B" in name:
            torch.nn.init.normal_(each, std=0.5)
    before = net(*inputs)
    merge_lora(net.trunk)
    assert torch.allclose(net(*inputs), before, atol=1e-5)
    assert not torch.allclose(network(tiny_wan)(*inputs), before, atol=1e-3)
    assert set(net.trunk.state_dict()) == set(tiny_wan.trunk(1).state_dict())


def test_lora_on_nothing_is_refused(tiny_wan):
    config = LatentRewardConfig.from_json({"trunk": "lora", "lora": {"targets": ["to_nothing"]}})
    with pytest.raises(BadConfigError, match="LoRA cannot go on to_nothing"):
        prepare_for_training(network(tiny_wan), config, ())
