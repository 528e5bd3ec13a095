"""Made-up conversations about sums, as rows of a data set."""

import random

from tiny import splits_of, tiny_tokenizer, write_splits

# Chat templates: of turns that each begin with a role, of a thought before each answer, and of questions in brackets.
TURNS = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}<end>\n{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
TEMPLATE = TURNS + PROMPT
THINKING = TEMPLATE.replace("{{ m.content }}", "{{ '<think></think>' if m.role == 'assistant' }}{{ m.content }}")
BRACKETS = (
    "{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else m.content + '<end>' }}"
    "{% endfor %}"
)


def conversations(size, *, seed):
    """Conversations of one to three questions with their answers, every second one with a system message."""
    rng = random.Random(seed)
    rows = []
    for number in range(size):
        messages = [{"role": "system", "content": "Be brief."}] if number % 2 else []
        for _ in range(rng.randint(1, 3)):
            a, b = rng.randint(1, 9), rng.randint(1, 9)
            messages.append({"role": "user", "content": f"What is {a} + {b}?" + " Think first." * rng.randint(0, 3)})
            messages.append({"role": "assistant", "content": f"It is {a + b}."})
        rows.append({"messages": messages})
    return rows


def write_conversations(folder):
    """Write 24, 8 and 6 conversations as the splits of a folder."""
    return write_splits(folder, splits_of(conversations, train=24, validation=8, test=6))


def chat_tokenizer(template=TEMPLATE):
    """A tiny tokenizer with a chat template, whose turns end with <end>."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<end>"], special_tokens=True)
    tokenizer.chat_template = template
    return tokenizer


def targets(features):
    """The tokens that have a loss."""
    num = features["num_completion_tokens"]
    return [token for token, one in zip(features["input_ids"][-num:], features["loss_mask"], strict=True) if one]
