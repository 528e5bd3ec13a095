"""Compare methods on your own table, from Python: no study file, no `if __name__ == "__main__"`.

    python examples/compare_from_python.py

It takes a minute on two cores, without network: the model is the package's own of one million parameters.
"""

from peft import LoraConfig

from hf_peft_compare import classification, compare
from hf_peft_compare.quickstart import load_outcomes

# Any DatasetDict, Dataset, DataFrame or list of dicts will do; without a validation or test split, a tenth is cut.
stories = load_outcomes(num_train_samples=160, num_validation_samples=40, num_test_samples=40, seed=0)
tickets = {split: [{"message": row["text"], "team": row["label"]} for row in rows] for split, rows in stories.items()}

result = compare(
    model="embedded",  # a hub id, a folder, or (model, tokenizer)
    dataset=tickets,
    task=classification(text="message", label="team"),
    methods=["majority", "last_layers", LoraConfig(r=4, target_modules=["c_attn"]), "full"],
    seeds=1,
    training={"num_train_epochs": 1, "learning_rate": 1e-3},
    output_dir="runs/tickets",  # call it again: what has finished is not trained again
    settings={"max_length": 256, "costs": False},
)
print(result)
print(result.frame()[["accuracy", "accuracy_low", "accuracy_high", "trainable_params", "train_seconds"]])
print(result.choose(mergeable=True))
print(result["lora"].predict([tickets["test"][0]["message"]]))
print("report:", result.report())
