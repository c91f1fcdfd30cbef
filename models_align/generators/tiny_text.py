"""Tokenizers and text encoders of a few thousand parameters, for generators that are built here."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

PAD, END = "<pad>", "</s>"


def train_tokenizer(corpus: Sequence[str], max_tokens: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE: whole words for the corpus, and still any other text."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=[PAD, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, bpe.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token=PAD, eos_token=END, model_max_length=max_tokens
    )


def text_encoder(tokenizer: PreTrainedTokenizerFast, width: int, *, kind: str = "umt5") -> Any:
    """Random: words are told apart by their embeddings alone. umt5 is Wan's, t5 CogVideoX's."""
    config_class, encoder_class = {
        "umt5": (UMT5Config, UMT5EncoderModel),
        "t5": (T5Config, T5EncoderModel),
    }[kind]
    config = config_class(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=16,
        d_ff=2 * width,
        num_layers=1,
        num_heads=4,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return encoder_class(config).eval()
