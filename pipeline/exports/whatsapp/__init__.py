"""A chat as WhatsApp exports it, from any phone, as a sequence of `Message`s.

`export.read_export` is the door. Behind it: `sources` (which text files), `headers` and `dates`
(what the beginning of a message looks like: tables), `survey` (first pass: which of all that is
this file), `phrases` and `notices` (what the app wrote rather than a person), `reader` (second
pass). `merge` joins overlapping exports, `names` finds a speaker. Nothing here imports torch.
"""
