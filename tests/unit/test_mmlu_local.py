"""Our own multiple-choice questions: MMLU's format and prompt, and nothing to guess by."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import jinja2
import pytest
import yaml

from pipeline.common.files import read_jsonl

FOLDER = Path(__file__).resolve().parents[2] / "bench/mmlu_local"
TEST, DEV = (list(read_jsonl(FOLDER / f"{part}.jsonl")) for part in ("test", "dev"))
TASK = yaml.safe_load((FOLDER / "mmlu_local.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", TEST + DEV, ids=lambda row: row["question"][:30])
def test_a_question_has_four_choices_and_one_answer(row):
    assert set(row) == {"question", "subject", "choices", "answer"}
    assert len(set(row["choices"])) == 4
    assert row["answer"] in range(4)
    assert row["question"].endswith("?")


def test_there_are_enough_and_no_letter_is_right_more_often():
    assert len({row["question"] for row in TEST + DEV}) == len(TEST) + len(DEV)
    assert len(TEST) >= 40
    assert set(Counter(row["answer"] for row in TEST).values()) == {len(TEST) // 4}


def test_the_prompt_is_that_of_mmlu():
    shown = jinja2.Template(TASK["doc_to_text"]).render(DEV[0])
    choices = DEV[0]["choices"]
    lines = [DEV[0]["question"], *(f"{x}. {c}" for x, c in zip("ABCD", choices, strict=True))]
    assert shown == "\n".join([*lines, "Answer:"])
    assert TASK["doc_to_choice"] == list("ABCD")
    assert TASK["description"].startswith("The following are multiple choice questions (with answ")


def test_the_files_are_where_the_task_says():
    for path in TASK["dataset_kwargs"]["data_files"].values():
        assert (FOLDER.parents[1] / path).exists()
