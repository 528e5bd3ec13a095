"""Made-up conversations about sums, as rows of a data set."""

import random

from tiny import splits_of, tiny_tokenizer, write_splits

from hf_peft_compare.core.task import Example, Turn
from hf_peft_compare.data.chat import as_chat, layout_of
from hf_peft_compare.tasks.instruction_tuning import InstructionTuning, InstructionTuningSettings

# Chat templates: of turns that each begin with a role, of a thought before each answer, and of questions in brackets.
TURNS = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}<end>\n{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
TEMPLATE = TURNS + PROMPT
THINKING = TEMPLATE.replace("{{ m.content }}", "{{ '<think></think>' if m.role == 'assistant' }}{{ m.content }}")
BRACKETS = (
    "{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else m.content + '<end>' }}"
    "{% endfor %}"
)


def messages(*turns):
    """Messages of turns, (role, text) each; those of None are left out."""
    return [{"role": role, "content": text} for role, text in turns if text is not None]


def example_of(messages):
    """The example of a conversation, in which the assistant's turns are learned."""
    *earlier, asked, answered = [
        Turn(role=m["role"], text=m["content"], learned=m["role"] == "assistant") for m in messages
    ]
    return Example(id="0", source=asked.text, reference=answered.text, earlier=tuple(earlier) or None)


def conversations(size, *, seed):
    """Conversations of one to three questions with their answers, every second one with a system message."""
    rng = random.Random(seed)
    rows = []
    for number in range(size):
        turns = [("system", "Be brief.")] if number % 2 else []
        for _ in range(rng.randint(1, 3)):
            a, b = rng.randint(1, 9), rng.randint(1, 9)
            turns.append(("user", f"What is {a} + {b}?" + " Think first." * rng.randint(0, 3)))
            turns.append(("assistant", f"It is {a + b}."))
        rows.append({"messages": messages(*turns)})
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


def tokenizer_of_a_run(template=TEMPLATE):
    """The same as a run loads it: eos is the end of the assistant's turn."""
    tokenizer = chat_tokenizer(template)
    tokenizer.eos_token = layout_of(tokenizer).end
    return tokenizer


def format_of_chats(config):
    """The format of conversations in a study."""
    return as_chat(InstructionTuning().format(InstructionTuningSettings()), config)


def targets(features):
    """The tokens that have a loss."""
    num = features["num_completion_tokens"]
    return [token for token, one in zip(features["input_ids"][-num:], features["loss_mask"], strict=True) if one]
