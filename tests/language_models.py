"""Small real language models for tests: random weights of any architecture, a trained tokenizer."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from scoring.experts import Question, SolvedQuestion

TEXT = """The following are multiple choice questions (with answers) about geography of the world.
Question: What is the capital of France? A. Paris B. London C. Rome D. Berlin Answer: A
Which river flows through Cairo, and which mountains lie to the south of it? Answer: The Nile.
A B C D E F G H I J K L M N O P Q R S T U V W X Y Z a b c d e f g h i j k l m n o p q r s t u v w
0 1 2 3 4 5 6 7 8 9 10 20 30 100 ( ) [ ] { } + - * / = . , ; : ! ? None NA null N/A True False"""
SPECIAL = ["<|begin|>", "<|end|>", "<|im_start|>"]

# Everything a causal language model of transformers can differ in and that sharing must survive:
# rotary or learned positions, grouped keys, windows, ALiBi, parallel blocks, a capped output.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2},
    "gpt2": {},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 12},
    "gemma2": {"num_key_value_heads": 2, "sliding_window": 60, "head_dim": 16},
    "gemma3_text": {"num_key_value_heads": 2, "sliding_window": 60, "head_dim": 16},
    "bloom": {},
    "mamba": {},
}


@cache
def train_tokenizer(n_tokens: int = 400, sentences: tuple[str, ...] = ()) -> Any:
    """A byte-level BPE like GPT-2's, trained on a few lines, with a token put in front of texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = [*TEXT.splitlines(), *(f" {sign}" for sign in "ABCDEFGH"), *sentences]
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>"
    )


def write_language_model(
    folder: Path,
    architecture: str = "llama",
    *,
    seed: int = 0,
    tokenizer: Any = None,
    **changes: Any,
) -> Path:
    """Write a random model with its tokenizer as a folder; returns the folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = tokenizer or train_tokenizer()
    size = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 320,
    }
    config = AutoConfig.for_model(architecture, **size | ARCHITECTURES[architecture] | changes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=None)
        for tensor in model.parameters():
            # The usual small spread makes every answer nearly the same.
            if tensor.dim() > 1:
                tensor.data.normal_(std=0.15)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def change_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def make_questions(n_questions: int, n_subjects: int = 2, seed: int = 0) -> list[Question]:
    """Questions of several subjects and lengths, each subject with five examples."""
    rng = np.random.default_rng(seed)
    words = TEXT.split()

    def text(longest: int) -> str:
        return " ".join(rng.choice(words, rng.integers(1, longest)))

    def choices() -> tuple[str, ...]:
        return tuple(f"{text(4)} {letter}" for letter in "wxyz")

    examples = {
        subject: tuple(SolvedQuestion(text(6), choices(), int(rng.integers(4))) for _ in range(5))
        for subject in range(n_subjects)
    }
    return [
        Question(
            text(20),
            choices(),
            f"subject_{number % n_subjects}",
            f"q{number}",
            examples[number % n_subjects],
        )
        for number in range(n_questions)
    ]
