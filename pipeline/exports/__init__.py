"""Chat exports: from the files of any messenger to a sequence of `Message`s.

`read_export.read_export(path)` is the entry point. It finds the files that may be chats (`sources`)
and opens each with the reader of its format, a row of `FORMATS`: `whatsapp/`, `telegram`, or a
`message_table`. A reader gives `Chat`s. `merge` joins overlapping exports of the same chat, and
`aliases` gives each person one name.
"""
