"""A chat as WhatsApp exports it, from any phone and in any language.

A file is read twice, because its format depends on the phone's language and region. `layout` reads
it first and detects the format: `headers` recognizes every header by tables of `date_words`,
`header_format` narrows them to the format of this file, and `dates` decides between day-first and
month-first. `reader` then yields the messages; `notices` tells what the app wrote from what people
typed, by the sentences in `phrases`.
"""
