"""Pretrain the embedded base from nothing: `python -m tools.pretrain_quickstart_base.pretraining --output-dir FOLDER`.

First copying on random tokens, then stories and digests of the pretraining world. An interrupted pretraining resumes
from its last checkpoint; a step's batch depends only on the seed and the step, so the base is the same either way.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tools.pretrain_quickstart_base.batches import Batch, draw_batch
from tools.pretrain_quickstart_base.copying import IGNORED
from tools.pretrain_quickstart_base.digests import generate_documents, generate_examination
from tools.pretrain_quickstart_base.optimizers import Muon
from tools.pretrain_quickstart_base.recipe import Recipe, draw_exercise, rate_share

EOS = "<|endoftext|>"


@dataclass
class Progress:
    """The contents of a checkpoint besides weights and moments."""

    step: int = 0
    seconds: float = 0.0


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and pretrain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output-dir", type=Path, required=True, help="the base is written here")
    parser.add_argument("--work-dir", type=Path, help="checkpoint and log; default: OUTPUT_DIR with -work appended")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--story-steps", type=int, default=Recipe.story_steps)
    parsed = parser.parse_args(arguments)
    work_dir = parsed.work_dir or parsed.output_dir.with_name(parsed.output_dir.name + "-work")
    recipe = Recipe(seed=parsed.seed, story_steps=parsed.story_steps)
    pretrain(recipe, output_dir=parsed.output_dir, work_dir=work_dir)


def pretrain(recipe: Recipe, *, output_dir: Path, work_dir: Path, checkpoint_every: int = 500) -> None:
    """Train tokenizer and model by `recipe` and write the base to `output_dir`; log and checkpoint to `work_dir`."""
    from tools.pretrain_quickstart_base.base_card import write_base

    work_dir.mkdir(parents=True, exist_ok=True)
    tokenizer = load_or_train_tokenizer(recipe, work_dir=work_dir)
    torch.manual_seed(recipe.seed)
    model = build_model(recipe, eos_token_id=tokenizer.eos_token_id)
    seconds = train(recipe, model=model, tokenizer=tokenizer, work_dir=work_dir, checkpoint_every=checkpoint_every)
    figures = examine(model, tokenizer=tokenizer, num_documents=recipe.num_examined)
    curve = [json.loads(line) for line in (work_dir / "log.jsonl").read_text().splitlines()]
    write_base(
        output_dir,
        model=model,
        tokenizer=tokenizer,
        recipe=asdict(recipe),
        figures=figures,
        curve=curve,
        seconds=seconds,
    )


def load_or_train_tokenizer(recipe: Recipe, *, work_dir: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of an interrupted pretraining, or train a new one."""
    folder = work_dir / "tokenizer"
    if folder.exists():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    documents = itertools.islice(generate_documents(seed=recipe.seed), recipe.num_tokenizer_documents)
    tokenizer = train_tokenizer(documents, vocab_size=recipe.vocab_size, n_positions=recipe.n_positions)
    tokenizer.save_pretrained(folder)
    return tokenizer


def train_tokenizer(documents: Iterable[str], *, vocab_size: int, n_positions: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE like GPT-2's, but every digit is a token: a number never seen is copied digit by digit."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=EOS,
        eos_token=EOS,
        unk_token=EOS,
        model_max_length=n_positions,
        clean_up_tokenization_spaces=False,
    )


def build_model(recipe: Recipe, *, eos_token_id: int) -> GPT2LMHeadModel:
    """Build an untrained GPT-2 with sinusoidal initial positions: it then quickly learns to look one token back."""
    config = GPT2Config(
        vocab_size=recipe.vocab_size,
        n_positions=recipe.n_positions,
        n_embd=recipe.n_embd,
        n_layer=recipe.n_layer,
        n_head=recipe.n_head,
        activation_function="relu",  # a third faster than GPT-2's own on a CPU
        initializer_range=recipe.initializer_range,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=eos_token_id,
        eos_token_id=eos_token_id,
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        model.transformer.wpe.weight.copy_(sinusoids(recipe.n_positions, recipe.n_embd, scale=0.1))
    return model


def sinusoids(num_positions: int, size: int, *, scale: float) -> torch.Tensor:
    """Return [P, H]: sines and cosines of wavelengths from about 6 to 6,000 positions."""
    frequencies = torch.exp(-math.log(1_000.0) * torch.arange(size // 2) / (size // 2))
    angles = torch.arange(num_positions)[:, None] * frequencies
    return scale * torch.cat([angles.sin(), angles.cos()], dim=1)


def train(
    recipe: Recipe,
    *,
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    work_dir: Path,
    checkpoint_every: int,
) -> float:
    """Train to the recipe's end from the last checkpoint, if any; return the seconds of all steps."""
    optimizers = build_optimizers(model, recipe)
    progress = load_checkpoint(work_dir, model=model, optimizers=optimizers)
    num_steps = recipe.copying_steps + recipe.story_steps
    model.train()
    while progress.step < num_steps:
        started = time.perf_counter()
        loss = train_step(recipe, step=progress.step, model=model, optimizers=optimizers, tokenizer=tokenizer)
        progress.seconds += time.perf_counter() - started
        progress.step += 1
        if progress.step % 50 == 0 or progress.step == num_steps:
            log(work_dir, step=progress.step, seconds=progress.seconds, **loss)
        if progress.step % checkpoint_every == 0 or progress.step == num_steps:
            save_checkpoint(work_dir, progress=progress, model=model, optimizers=optimizers)
    return progress.seconds


def build_optimizers(model: GPT2LMHeadModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Build Muon for the matrices inside the blocks, AdamW for embeddings, biases and norms."""
    matrices = [param for param in model.transformer.h.parameters() if param.ndim == 2]
    others = [param for param in model.parameters() if all(param is not matrix for matrix in matrices)]
    adamw = torch.optim.AdamW(others, lr=recipe.adamw_learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    return [adamw, Muon(matrices, lr=recipe.muon_learning_rate)]


def train_step(
    recipe: Recipe,
    *,
    step: int,
    model: GPT2LMHeadModel,
    optimizers: list[torch.optim.Optimizer],
    tokenizer: PreTrainedTokenizerFast,
) -> dict[str, Any]:
    """Run one update; return what it was trained on and the loss."""
    for optimizer, rate in zip(optimizers, (recipe.adamw_learning_rate, recipe.muon_learning_rate), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_share(recipe, step=step)
    exercise = draw_exercise(recipe, step=step)
    batch = draw_batch(recipe, step=step, exercise=exercise, tokenizer=tokenizer)
    loss, accuracy, previous_loss = losses_of(model, batch, foretell_previous=step < recipe.previous_token_steps)
    (loss + previous_loss).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    model.zero_grad()
    return {"exercise": exercise, "loss": round(loss.item(), 4), "accuracy": round(accuracy, 4)}


def losses_of(
    model: GPT2LMHeadModel, batch: Batch, *, foretell_previous: bool
) -> tuple[torch.Tensor, float, torch.Tensor]:
    """Return next-token loss and accuracy where labeled, and the previous token's loss after block one, or zero.

    Copying needs a block that sees the token before and a later one that looks it up. With a loss on the former,
    the model learns it after 150 steps.
    """
    positions = batch.offsets + torch.arange(batch.input_ids.shape[1])
    output = model.transformer(
        input_ids=batch.input_ids, position_ids=positions, output_hidden_states=foretell_previous, use_cache=False
    )
    targets = batch.labels[:, 1:]
    labeled = targets != IGNORED
    logits = model.lm_head(output.last_hidden_state[:, :-1][labeled])  # the head is applied only where there are labels
    accuracy = (logits.argmax(-1) == targets[labeled]).float().mean().item()
    previous_loss = logits.new_zeros(())
    if foretell_previous:
        after_first_block = model.transformer.ln_f(output.hidden_states[1][:, 1:])
        previous_loss = cross_entropy(model.lm_head(after_first_block).flatten(0, 1), batch.input_ids[:, :-1].flatten())
    return cross_entropy(logits, targets[labeled]), accuracy, previous_loss


@torch.no_grad()
def examine(
    model: GPT2LMHeadModel, *, tokenizer: PreTrainedTokenizerFast, num_documents: int, world: str = "validation"
) -> dict[str, float]:
    """Return the share of answer tokens predicted correctly, by fact, in stories of a world never trained on."""
    model.eval()
    right: dict[str, list[float]] = {}
    for examination in itertools.islice(generate_examination(seed=0, world=world), num_documents):
        prompt_ids = tokenizer(examination.prompt)["input_ids"]
        answer_ids = tokenizer(f" {examination.answer}")["input_ids"]
        logits = model(input_ids=torch.tensor([prompt_ids + answer_ids])).logits[0, len(prompt_ids) - 1 : -1]
        hits = (logits.argmax(-1) == torch.tensor(answer_ids)).tolist()
        right.setdefault(examination.fact, []).extend(float(hit) for hit in hits)
    return {fact: round(sum(hits) / len(hits), 4) for fact, hits in sorted(right.items())}


def log(work_dir: Path, **values: Any) -> None:
    """Write one JSON line to the log and to the screen."""
    line = json.dumps(values | {"seconds": round(values["seconds"])})
    print(line, flush=True)
    with (work_dir / "log.jsonl").open("a") as file:
        file.write(line + "\n")


def save_checkpoint(
    work_dir: Path, *, progress: Progress, model: GPT2LMHeadModel, optimizers: list[torch.optim.Optimizer]
) -> None:
    """Replace the checkpoint in one move, so that an interruption leaves the old one."""
    state = {
        "progress": asdict(progress),
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    torch.save(state, work_dir / "checkpoint.pt.part")
    (work_dir / "checkpoint.pt.part").replace(work_dir / "checkpoint.pt")


def load_checkpoint(work_dir: Path, *, model: GPT2LMHeadModel, optimizers: list[torch.optim.Optimizer]) -> Progress:
    """Load the checkpoint into model and optimizers; start from scratch if there is none."""
    path = work_dir / "checkpoint.pt"
    if not path.exists():
        (work_dir / "log.jsonl").write_text("")
        return Progress()
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, moments in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(moments)
    return replace(Progress(), **state["progress"])


if __name__ == "__main__":
    main()
