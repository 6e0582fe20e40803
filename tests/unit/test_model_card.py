"""What a model folder says of itself: its file, who has a voice, and how much each says at once."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date

from pipeline.dialogue.turns import Turn
from pipeline.serving.model_card import Habits, ModelCard
from pipeline.stages.package import voices_in
from pipeline.workspace.settings import Chat


def test_the_persona_is_first_and_others_need_enough():
    turns = [
        Turn(n, ("x",)) for n, c in (("Ben", 300), ("Ana", 5), ("Cléo", 199)) for _ in range(c)
    ]
    assert list(voices_in(turns, "Ana").items()) == [("Ana", 5), ("Ben", 300)]


def test_habits_are_the_middle_and_the_upper_end():
    turns = [Turn("Ana", ("x" * n,)) for n in range(1, 100)] + [Turn("Ana", ("a", "b", "c\nd"))]
    habits = Habits.of(turns, len)
    assert habits == Habits(characters=(49, 94), messages=(1, 1), tokens=98)
    assert Habits.from_row(asdict(habits)) == habits


def test_the_longest_reply_is_never_very_short():
    habits = Habits.of([Turn("Ana", ("ok",))] * 9, len)
    assert habits is not None
    assert habits.tokens == 16
    assert Habits.of([], len) is None


EARLIER = """\
{
  "version": 1,
  "template": "turns-1",
  "persona": "Ana",
  "partners": {
    "Cléo": 9
  },
  "voices": {
    "Ana": 300
  },
  "learned": [
    "Ana"
  ],
  "habits": {
    "Ana": {
      "characters": [
        24,
        69
      ],
      "messages": [
        1,
        3
      ],
      "tokens": 77
    }
  },
  "follows": {},
  "last_message": "2024-03-31",
  "sampling": {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 0.95,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "max_tokens": "auto",
    "avoid": [
      "hospital"
    ],
    "opening": "",
    "farewell": ""
  },
  "context": 96
}
"""


def test_a_card_of_an_earlier_version_is_read_and_written_byte_for_byte(tmp_path):
    (tmp_path / "chat.json").write_text(EARLIER, encoding="utf-8", newline="\n")
    card = ModelCard.read(tmp_path)
    assert (card.persona, card.partners, card.context) == ("Ana", {"Cléo": 9}, 96)
    assert card.habits == {"Ana": Habits((24, 69), (1, 3), 77)}
    assert card.last_message == date(2024, 3, 31)
    assert card.chat == Chat(avoid=("hospital",))
    card.write(tmp_path)
    assert (tmp_path / "chat.json").read_bytes() == EARLIER.encode()


def test_the_earliest_cards_have_the_persona_alone(tmp_path):
    row = json.loads(EARLIER)
    for key in ("voices", "learned", "habits", "follows", "last_message", "context"):
        del row[key]
    (tmp_path / "chat.json").write_text(json.dumps(row), encoding="utf-8")
    card = ModelCard.read(tmp_path)
    assert (card.voices, card.learned, card.habits) == ({"Ana": 0}, ["Ana"], {})
    assert (card.follows, card.last_message, card.context) == ({}, None, 0)
