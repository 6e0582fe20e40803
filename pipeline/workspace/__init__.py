"""One person's data: a folder with its settings, and a record of every stage that is whole.

`stages` is the list of stages. `settings` are all settings, `settings_file` reads and writes them.
`workspace` is the folder, `record` what is known of a stage, `freshness` what is out of date.
`chat_store` and `export_store` hold what several parts read.
"""
