"""The lessons: one file per topic, each with `lesson(request) -> Lesson`."""
