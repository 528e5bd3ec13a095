"""The accuracy of a teacher's labels, which is unknown without labels of the dataset."""

from hf_peft_compare.records.train_labels import TrainLabels

FACTS = {"teacher": "labels.jsonl", "use": "teacher", "num_gold": 5, "num_teacher": 20, "num_unread": 1}


def test_accuracy_is_of_the_labels_that_can_be_compared():
    assert TrainLabels(**FACTS, num_compared=10, num_right=9).accuracy == 0.9
    assert TrainLabels(**FACTS, num_compared=0, num_right=0).accuracy is None
