"""Rules for docstrings and comments: first words of summaries and of sentences, and cross references.

``python -m tests.prose_rules gateway/streams`` lists what breaks them in a folder.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.layout import ROOT, SOURCES, relative
from tests.prose import Kind, Text, texts_of
from tests.references import broken_references


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


HEADLESS: Final = words_of(
    """
    Here How Nothing Of That Those What Whatever Where Whether Which Who Whoever Whom Whose
    """
)
"""No sentence begins with one of these: a relative clause without its noun, or a phrase moved to the front.

One exception: the text of a field or property of type ``bool`` may begin with "Whether".
"""

BOOLEANS: Final = frozenset({Kind.FIELD, Kind.PROPERTY})
"""Kinds of texts that may say which condition a value states."""

NOT_A_SUBJECT: Final = words_of(
    """
    As By Everything For From If In Into It Its Itself Nobody Not Over So Somebody Something Such Their There These
    They This To When While Why With Without
    """
)
"""No summary begins with one of these: it says what the thing is, or what to do."""

THIRD_PERSON: Final = words_of(
    """
    Accepts Adds Applies Asks Begins Brings Builds Cancels Catches Checks Chooses Collects Compares Compresses
    Computes Connects Converts Creates Cuts Decides Declares Decodes Delivers Drops Encodes Ends Fills Finds Finishes
    Follows Forgets Gets Gives Handles Hands Has Hears Holds Imports Is Iterates Joins Keeps Learns Lets Loads Makes
    Measures Merges Moves Names Needs Opens Owns Passes Prints Publishes Puts Reads Receives Refuses Remembers Removes
    Replaces Returns Says Sends Serves Shows Splits Starts Stops Stores Takes Tells Throws Tracks Transposes Turns
    Unpacks Waits Wakes Watches Wires Works Writes Yields
    """
)
"""Verbs in the third person: of a function the summary has the imperative, of a class it begins with a noun."""

THIRD_PERSON_WITH_OBJECT: Final = re.compile(r"[A-Z][a-z]+s (?:an?|the|it|them|each|every|its|their|whether|what|how) ")
"""The same for words that may also be nouns: ``Answers a request``, ``Lists the streams``."""

IMPERATIVES: Final = words_of(
    """
    Acknowledge Add Answer Append Apply Ask Authenticate Build Call Cancel Check Choose Close Compress Compute Connect
    Convert Copy Create Cut Decide Declare Decode Decompress Deliver Describe Discard Draw Drop Encode Find Forget
    Format Give Handle Implement Iterate Join Let Load Look Make Mark Measure Merge Open Parse Pick Publish Put Raise
    Read Receive Record Register Release Remove Replace Request Require Reserve Resolve Restore Return Run Schedule
    Send Serve Set Show Split Start Stop Store Subscribe Take Test Transform Trim Try Unsubscribe Update Wait Write
    Yield
    """
)
"""First words of functions that only return a value: ``Return``, unless the value comes of something done."""


def faults_of(text: Text) -> Iterator[str]:
    """Yield what is wrong with a text."""
    if text.kind is not Kind.COMMENT:
        yield from _faults_of_summary(text)
    for sentence in text.sentences():
        first = re.match(r"[A-Za-z]+", sentence)
        if first and first.group() in HEADLESS and (first.group() != "Whether" or text.kind not in BOOLEANS):
            yield f"a sentence begins with {first.group()}: {sentence[:60]}"


def _faults_of_summary(text: Text) -> Iterator[str]:
    summary = text.summary
    first = re.split(r"[^\w'-]", summary, maxsplit=1)[0]
    if first in NOT_A_SUBJECT:
        yield f"the summary begins with {first}: {summary[:60]}"
    if first in THIRD_PERSON or THIRD_PERSON_WITH_OBJECT.match(summary):
        yield f"the summary begins with a verb in the third person: {summary[:60]}"
    if text.only_returns and first not in IMPERATIVES:
        yield f"a function that only returns a value says Return: {summary[:60]}"
    if not summary.endswith((".", ":", "?")):
        yield f"the summary has no full stop: {summary[-60:]}"


def faults_in(path: Path) -> list[str]:
    """Return one line for each fault of a source file."""
    faults = [(text.line, fault) for text in texts_of(path) for fault in faults_of(text)]
    faults += [(line, f"a reference does not name its definition: {words}") for line, words in broken_references(path)]
    return [f"{relative(path)}:{line}: {fault}" for line, fault in sorted(faults)]


def main(folders: list[str]) -> None:
    """Print the faults of all sources below some folders."""
    for path in SOURCES:
        if any(path.is_relative_to(ROOT / folder) for folder in folders):
            print(*faults_in(path), sep="\n", end="\n" if faults_in(path) else "")


if __name__ == "__main__":
    main(sys.argv[1:] or ["gateway"])
