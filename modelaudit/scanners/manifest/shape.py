"""What kind of configuration a tree is, as far as that decides what is ordinary in it."""

from modelaudit.parsers.manifest.tree import Pairs, Path, keys, words

# Commands belong in these: builds, continuous integration, containers, editors, packages.
# One a line: top-level keys (sections of an INI file, up to a colon) that stand together in nothing else.
_PROGRAM_KEYS = """
name version scripts; name version dependencies; name version devDependencies; package dependencies
lockfileVersion
jobs on; jobs True; jobs true; jobs version; stages; include stages; steps; pipelines; orbs; workflow; name on
on runs-on; services; apiVersion kind; repos
tasks version; tasks inputs; configurations; workspace; customizations; features image
language script; language install; before_script; image script; setup run; build predict; entry_points; cwlVersion
build-system; project; tool; package source; channels dependencies; testenv; tox; metadata options; Unit; Service
site_name; version sphinx; build version; runs inputs; runs name; openapi; swagger; $schema; scopeName patterns
nbformat cells; cells; formatters handlers
"""
_PROGRAMS = tuple(words(shape) for shape in _PROGRAM_KEYS.replace("\n", ";").split(";") if shape.strip())
_PROSE = words(
    "description summary readme license licence text content contents prompt prompts system_prompt template"
    " chat_template messages doc docs"
    " help comment comments long_description example examples instruction instructions input output question"
    " answer context body title"
    " changelog notes note message details abstract caption question_text completion regex pattern patterns"
    " match begin end source"
    " default_chat_template tool_use user assistant system widget documentation about usage readme_content"
    " snippet snippets"
)
# Keys of what texts are compared with: lists of a filter, of a classifier, of a search.
_COMPARED = words("keyword keywords phrase phrases keyphrases words terms utterance utterances sentence sentences")
_WORDS = frozenset(
    (
        "vocab",
        "merges",
        "added_tokens",
        "vocabulary",
        "tokens",
        "token_to_id",
        "idx2word",
        "word_index",
        "cells",
        "id2label",
    )
)


def is_program(roots: list[object]) -> bool:
    """Whether commands are ordinary in this file, because it configures a program or a build."""
    for root in roots:
        if isinstance(root, Pairs):
            top = root.names()
            sections = {key.partition(":")[0] for key in top}
            if any(shape <= top or shape <= sections for shape in _PROGRAMS):
                return True
        elif isinstance(root, list) and any(
            isinstance(item, Pairs) and item.names() & {"tasks", "run", "when", "id"} for item in root
        ):
            return True
    return False


def is_prose(path: Path, key: str) -> bool:
    """Whether text at this place is for people or for a model to read, or is what texts are compared with."""
    parts = [key.casefold(), *(part.casefold() for part in keys(path))]
    return any(part in _PROSE or part.rpartition("_")[2] in _COMPARED for part in parts)


def is_words(path: Path) -> bool:
    """Whether this is a vocabulary: pieces of text of all kinds, which mean nothing here."""
    return any(part in _WORDS for part in keys(path))
