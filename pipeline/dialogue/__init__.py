"""From messages to what a model is trained on: conversations, turns, ids, windows.

`conversations` numbers the conversations of a chat and assigns each to a split; `turns` joins the
messages of one speaker; `template` renders turns as ids and loss mask; `windows` cuts them into
fine-tuning examples.
"""
