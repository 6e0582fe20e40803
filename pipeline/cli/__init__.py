"""The verbs of the command line, a file each; `pipeline/__main__.py` is the table of them.

`command_line` is the group they are in, `shared_options` the options that several have, `opening`
the workspace that these mean. A file such as `tokenizer_show` does part of the verb it begins with.
"""
