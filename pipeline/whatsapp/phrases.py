"""What WhatsApp itself writes into an export, language by language.

A template is the app's sentence without the invisible marks; a final full stop may be there or
not. `{A}` `{B}` `{C}` stand for names, `{file}` for a file's name, `{n}` for a number, `{unit}`
for a short word, `{text}` for anything, line breaks included. A sentence a person could well type
has no place here: on iOS the app's marks give it away without a table.

The topics of `BODIES` stand where a sender's words would; those of `NOTICES` stand alone on
Android and after some name on iOS. Sources: exports and string tables published with other readers
of these files.
"""

from __future__ import annotations

from pipeline.whatsapp.message import Kind

Phrases = dict[str, tuple[str, ...]]

BODIES: dict[str, Phrases] = {
    "en": {
        "contact": (
            "Contact card omitted",
            "{A}.vcf (file attached)",
            "<attached: {A}.vcf>",
        ),
        "media": (
            "<Media omitted>",
            "<media omitted>",
            "<Video message omitted>",
            "<Video note omitted>",
            "<View once voice message omitted>",
            "image omitted",
            "video omitted",
            "audio omitted",
            "sticker omitted",
            "GIF omitted",
            "document omitted",
            "video message omitted",
            "video note omitted",
            "product image omitted",
            "{file} (file attached)",
            "<attached: {file}>",
            "{file} <attached>",
        ),
        "deleted": (
            "This message was deleted",
            "You deleted this message",
            "This message was deleted for everyone",
            "You deleted this message for everyone",
            "This message was deleted by an admin",
            "This message was deleted by admin {A}",
            "You deleted this message as admin",
        ),
        "call": (
            "Missed voice call",
            "Missed video call",
            "Missed group voice call",
            "Missed group video call",
            "Missed voice call, Tap to call back",
            "Missed video call, Tap to call back",
            "Missed voice call. Tap to call back",
            "Missed video call. Tap to call back",
            "Silenced voice call, Focus mode",
            "Silenced video call, Focus mode",
            "Call failed, Try again",
            "Voice call, No answer",
            "Video call, No answer",
            "Voice call, Answered on other device",
            "Video call, Answered on other device",
            "Voice call, {n} {unit}",
            "Video call, {n} {unit}",
            "Group call, {n} invited",
        ),
        "location": (
            "location: https://{A}",
            "Location: https://{A}",
            "live location shared",
            "Live location shared",
        ),
        "poll": ("POLL:\n{text}",),
        "event": ("EVENT:\n{text}",),
        "view_once": (
            "You received a view once message. For added privacy, you can only open it on your"
            " phone.",
        ),
        "waiting": ("Waiting for this message. This may take a while.",),
    },
}

NOTICES: dict[str, Phrases] = {
    "en": {
        "encryption": (
            "Messages and calls are end-to-end encrypted. {A}",
            "Messages and calls are now end-to-end encrypted. {A}",
            "Messages you send to this group are now secured with end-to-end encryption. {A}",
            "Messages you send to this chat and calls are now secured with end-to-end"
            " encryption. {A}",
            "Messages to this group are now secured with end-to-end encryption. {A}",
            "Messages to this chat and calls are now secured with end-to-end encryption. {A}",
        ),
        "created_group": (
            '{A} created group "{B}"',
            "{A} created group “{B}”",
            "{A} created this group",
        ),
        "added_you": (
            "{A} added you",
            "{A} added you to a group in the community: {B}",
        ),
        "notice": (
            "{A} added {B}",
            "{A} left",
            "{A} was added",
            "{A} was removed",
            "{A} removed {B}",
            "{A} joined using this group's invite link",
            "{A} joined using a group link",
            "{A} joined from the community",
            '{A} changed the subject from "{B}" to "{C}"',
            '{A} changed the subject to "{B}"',
            "{A} changed the subject from “{B}” to “{C}”",
            "{A} changed the subject to “{B}”",
            '{A} changed the group name from "{B}" to "{C}"',
            "{A} changed the group name from “{B}” to “{C}”",
            '{A} changed the group name to "{B}"',
            "{A} changed this group's icon",
            "{A} deleted this group's icon",
            "{A} changed the group description",
            "{A} changed this group's settings to {B}",
            "{A} changed to {B}",
            "{A} changed their phone number to a new number. {B}",
            "Your security code with {A} changed",
            "Your security code with {A} changed. {B}",
            "{A}'s security code changed. {B}",
            "You're now an admin",
            "You're no longer an admin",
            "{A} turned on disappearing messages. {B}",
            "{A} turned off disappearing messages",
            "{A} turned off disappearing messages. {B}",
            "{A} updated the message timer",
            "{A} updated the message timer. {B}",
            "{A} is a contact",
            "You blocked this contact. {A}",
            "You unblocked this contact. {A}",
            "{A} turned on advanced chat privacy",
            "{A} turned on admin approval to join this group",
            "{A} pinned a message",
            'You deactivated the community "{A}"',
            "You removed this group from a community",
            "This business uses a secure service from Meta to manage this chat. {A}",
        ),
    },
}

# The kind of message each topic is, where the two names differ.
KINDS: dict[str, Kind] = {
    "encryption": "notice",
    "created_group": "notice",
    "added_you": "notice",
}

# What is written behind a message that its sender changed later, after a space or a mark.
EDITED: dict[str, tuple[str, ...]] = {
    "en": ("<This message was edited>",),
}
