"""Bibliography: the papers of the methods, and of the models, data and scores where they are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.report.blocks import Block, Bullets, Material, Section

# {part of a model's or dataset's name, or of a score's: its paper}; the first that fits is taken.
MODELS = {
    "gpt2": "Radford et al. (2019), Language Models are Unsupervised Multitask Learners",
    "roberta": "Liu et al. (2019), RoBERTa: A Robustly Optimized BERT Pretraining Approach, arXiv:1907.11692",
    "llama-2": "Touvron et al. (2023), Llama 2: Open Foundation and Fine-Tuned Chat Models, arXiv:2307.09288",
    "llama-3": "Grattafiori et al. (2024), The Llama 3 Herd of Models, arXiv:2407.21783",
    "phi-1_5": "Li et al. (2023), Textbooks Are All You Need II: phi-1.5 technical report, arXiv:2309.05463",
    "tinybert": "Jiao et al. (2020), TinyBERT: Distilling BERT for Natural Language Understanding, arXiv:1909.10351",
    "minilm": "Wang et al. (2020), MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of "
    "Pre-Trained Transformers, arXiv:2002.10957",
    "clip": "Radford et al. (2021), Learning Transferable Visual Models From Natural Language Supervision, "
    "arXiv:2103.00020",
    "resnet": "He et al. (2016), Deep Residual Learning for Image Recognition, arXiv:1512.03385",
}
DATA = {
    "cnn_dailymail": "See et al. (2017), Get To The Point: Summarization with Pointer-Generator Networks, "
    "arXiv:1704.04368",
    "multi_nli": "Williams et al. (2018), A Broad-Coverage Challenge Corpus for Sentence Understanding through "
    "Inference, arXiv:1704.05426",
    "mnli": "Williams et al. (2018), A Broad-Coverage Challenge Corpus for Sentence Understanding through Inference, "
    "arXiv:1704.05426",
    "imdb": "Maas et al. (2011), Learning Word Vectors for Sentiment Analysis, ACL 2011",
    "tweet_eval": "Barbieri et al. (2020), TweetEval: Unified Benchmark and Comparative Evaluation for Tweet "
    "Classification, arXiv:2010.12421",
    "daquar": "Malinowski and Fritz (2014), A Multi-World Approach to Question Answering about Real-World Scenes based "
    "on Uncertain Input, arXiv:1410.0210",
}
SCORES = {"rouge": "Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries, ACL workshop 2004"}


def render_bibliography(material: Material) -> list[Block]:
    """Return the papers in alphabetical order; [] if none is known."""
    found = {paper for record in material.records.values() for paper in _papers(record)}
    return [Bullets(items=sorted(found, key=str.casefold))] if found else []


def _papers(record: RunRecord) -> Iterator[str]:
    config, method = record.config, record.config.get("method", {})
    if record.card.paper:
        yield record.card.paper + _arxiv(record.card.url)
    models = [config.get("model_name_or_path"), method.get("image_encoder")]
    yield from _known(MODELS, models)
    yield from _known(DATA, [f"{config.get('dataset')}/{config.get('dataset_config')}"])
    yield from _known(SCORES, record.scores)


def _known(papers: dict[str, str], names: Iterable[object]) -> Iterator[str]:
    for name in names:
        yield from [paper for part, paper in papers.items() if part in str(name).lower()][:1]


def _arxiv(url: str) -> str:
    _, found, number = url.partition("https://arxiv.org/abs/")
    return f", arXiv:{number}" if found else f", {url}" if url else ""


SECTION = Section(name="bibliography", title="Bibliography", order=95, render=render_bibliography)
