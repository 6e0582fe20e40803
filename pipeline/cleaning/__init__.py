"""What is taken out of a chat before a model learns from it.

`ruleset` chooses the rules by the settings, out of `message_rules` and rules that mask or drop
`personal` data; `clean` applies them.
"""
