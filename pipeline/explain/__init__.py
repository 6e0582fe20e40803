"""`python -m pipeline explain TOPIC`: a lesson in the terminal, and its picture as a PNG.

    topics.py          the table of topics
    lesson.py          what a lesson consists of
    lessons/           one file per topic, each with `lesson(request) -> Lesson`
    show.py            prints a lesson and writes its picture
    figures.py         the style of all pictures
    tiny_model.py      a small model trained on the spot
    decoder_hooks.py   shapes and attention maps of a forward pass

Every number in a lesson is computed by the code that trains and chats, so a lesson cannot drift
away from it.
"""
