"""Every value of a release into a network of ours, or an error that names it."""

from dataclasses import dataclass

import torch

from models_rm.errors import CheckpointMismatchError
from models_rm.networks.network import RewardNetwork
from models_rm.released.layout import Source
from models_rm.released.tensors import EMBEDDING, SourceTensors
from models_rm.reward_models.checkpoints import learned_weights


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the tensors of the source."""

    used: int
    equal: int  # as in the backbone, so not stored again
    left_out: dict[str, str]


class Filling:
    """Puts the values of a source into a network, and remembers which of them it used."""

    def __init__(
        self,
        network: RewardNetwork,
        tensors: SourceTensors,
        source: Source,
        *,
        embed_backbone: bool,
    ):
        self._network = network
        self._tensors = tensors
        self._left = dict(tensors.backbone)
        self._file = source.files[-1]
        self._embed = embed_backbone
        self._equal = 0
        self._used = 0

    @torch.no_grad()
    def tokens(self, ids: dict[str, int], words: int) -> None:
        """Rows of the embedding matrix at the reward tokens; the `words` before are the backbone's.

        Below the tokens released code leaves rows that no word of the tokenizer has; they are cut.
        """
        matrix = self._left.pop(EMBEDDING, None)
        if matrix is None or len(matrix) <= max(ids.values()):
            found = "no embedding matrix" if matrix is None else f"only {len(matrix)} rows"
            raise self._error(f"the reward tokens have the ids {list(ids.values())}, found {found}")
        rows = [matrix[ids[key]] for key in self._network.keys]
        self._network.tokens.copy_(torch.stack(rows).float())
        own = self._network.backbone.get_input_embeddings().weight
        self._settle(EMBEDDING, own[:words], matrix[:words])
        self._used += 1

    @torch.no_grad()
    def heads(self, token_keys: tuple[str, ...]) -> None:
        """Output n of the released head belongs to the n-th reward token of the text."""
        head = self._tensors.head
        if head.shape[-1] != self._network.heads.shape[-1]:
            raise self._error(
                f"the head is {list(head.shape)}, the backbone is {self._network.heads.shape[-1]} "
                "wide: it is another one"
            )
        if len(head) > 1:
            head = torch.stack([head[token_keys.index(key)] for key in self._network.keys])
        self._network.heads.copy_(head.float())
        self._used += 1

    @torch.no_grad()
    def backbone(self) -> None:
        """What learned is copied; what did not must be what the backbone has."""
        prefix = "backbone."
        learned = {name for name in learned_weights(self._network) if name.startswith(prefix)}
        own = dict(self._network.named_parameters())
        for name in sorted(learned):
            tensor = self._left.pop(name.removeprefix(prefix), None)
            if tensor is None:
                raise self._error(f"the checkpoint lacks {name.removeprefix(prefix)}")
            self._refuse_another_shape(name, own[name], tensor)
            own[name].copy_(tensor.float())
            self._used += 1
        for short in sorted(self._left):
            parameter = own.get(f"{prefix}{short}")
            if parameter is None:
                raise self._error(f"{short} has no place in this backbone")
            self._refuse_another_shape(short, parameter, self._left[short])
            self._settle(short, parameter, self._left.pop(short))

    def report(self) -> Report:
        assert not self._left, "every tensor of the source is used or refused"
        return Report(self._used, self._equal, self._tensors.left_out)

    def _settle(self, name: str, own: torch.Tensor, found: torch.Tensor) -> None:
        """A frozen tensor: equal to the backbone's, or written over it if that is stored too."""
        if torch.equal(own.to(found.dtype), found):
            self._equal += 1
        elif self._embed:
            own.copy_(found.float())
            self._used += 1
        else:
            different = int((own.to(found.dtype) != found).sum())
            raise self._error(
                f"{name} is not that of the backbone ({different} of {found.numel()} numbers): "
                "the checkpoint was trained on another one (or --embed-backbone keeps its values)"
            )

    def _refuse_another_shape(self, name: str, own: torch.Tensor, found: torch.Tensor) -> None:
        if own.shape != found.shape:
            raise self._error(
                f"{name} is {list(found.shape)}, this backbone wants {list(own.shape)}"
            )

    def _error(self, sentence: str) -> CheckpointMismatchError:
        return CheckpointMismatchError(sentence, path=self._file)
