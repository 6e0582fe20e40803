"""From a WhatsApp export to a model that writes like one of the people in it, in numbered stages.

Read `workspace/stages.py` first: it lists the stages in order. Each `stages/stageN_*.py` reads
files, calls the rooms beside it (`exports`, `cleaning`, `dialogue`, `training`, `evaluation`,
`serving`) and writes files. Nothing here opens a network connection, but for
`evaluation/chat_server.py` to an address that the user names.
"""
