"""What evaluators that read files need, small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TASK = """task: soup
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: '{{{{question}}}}'
doc_to_choice: choices
doc_to_target: answer
metric_list:
- {{metric: acc, aggregation: mean, higher_is_better: true}}
"""


def small_evaluations(folder: Path) -> dict[str, dict[str, Any]]:
    """Of each component, by kind and name."""
    (tasks := folder / "tasks").mkdir()
    (tasks / "soup.jsonl").write_text(
        "".join(json.dumps({"question": "Soup?", "choices": ["Yes", "No"], "answer": n % 2}) + "\n" for n in range(6))
    )
    (tasks / "soup.yaml").write_text(TASK.format(data=tasks / "soup.jsonl"))
    (folder / "eval.jsonl").write_text(
        '{"question": "Is there anything else that you would like?"}\n{"question": "What is it that nobody has?"}\n'
    )
    for name in ("train", "test"):
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "a soup\t1\nno dish\t0\nsoups\t1\nmeat\t0\n" * 3)
    return {
        "evaluator/lm_eval": {"tasks": ["soup"], "include_path": str(tasks)},
        "evaluator/contamination": {"paths": [str(folder / "eval.jsonl")], "ngram": 5, "min_words": 5},
        "evaluator/classification": {"train": str(folder / "train.tsv"), "test": str(folder / "test.tsv")},
    }
