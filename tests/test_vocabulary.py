"""One vocabulary, the field's: no word of `tests/vocabulary.py` is used but for the listed exceptions."""

import csv
import re
from dataclasses import dataclass
from fnmatch import fnmatch

import pytest
from tests.conftest import REPOSITORY
from tests.vocabulary import OLD_MODULES, OLD_NAMES, WORDS
from tests.vocabulary_search import Segment, Use, searched_files, segments, spaced, uses

EXCEPTIONS = REPOSITORY / "tests" / "vocabulary_exceptions.csv"


@dataclass(frozen=True)
class Exempt:
    """A row of the exceptions: files (a glob), a word, and the phrase in which it is used there; `*` for any phrase."""

    files: str
    word: str
    phrase: str
    reason: str

    def covers(self, use: Use) -> bool:
        """Whether a use is of this word, in these files and within this phrase."""
        if use.word != self.word or not fnmatch(use.path, self.files):
            return False
        if self.phrase == "*":
            return True
        start, end = use.span
        return any(found.start() <= start and end <= found.end() for found in self._found(use.segment))

    def _found(self, segment: Segment) -> list[re.Match[str]]:
        phrase = self.phrase.lower() if segment.kind == "raw" else spaced(self.phrase)
        return list(re.finditer(r"\s".join(map(re.escape, phrase.split())), segment.text))


def exceptions() -> list[Exempt]:
    with EXCEPTIONS.open(encoding="utf-8", newline="") as file:
        return [Exempt(**row) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def found() -> list[Use]:
    return list(uses(REPOSITORY, searched_files(REPOSITORY)))


def test_no_word_of_the_table_is_used(found: list[Use]) -> None:
    listed = exceptions()
    new = [str(use) for use in found if not any(row.covers(use) for row in listed)]
    assert not new, (
        f"{len(new)} uses of words that the field has other words for; where a use has another meaning, list it in "
        f"{EXCEPTIONS.name} with its reason:\n" + "\n".join(new)
    )


def test_no_exception_is_listed_in_vain(found: list[Use]) -> None:
    unused = [row for row in exceptions() if not any(row.covers(use) for use in found)]
    assert not unused, f"remove from {EXCEPTIONS.name}:\n" + "\n".join(map(str, unused))


def test_exceptions_have_a_known_word_and_a_reason() -> None:
    modules = {f"{package}/{module}" for package, listed in OLD_MODULES.items() for module in listed.split()}
    names = {word.name for word in WORDS} | {name.lower() for name in OLD_NAMES} | modules
    for row in exceptions():
        assert row.word in names, row
        assert row.reason.strip(), row


def words_in(suffix: str, text: str, folder) -> list[str]:
    path = folder / f"module{suffix}"
    path.write_text(text, encoding="utf-8")
    return [use.word for use in uses(folder, [path])]


@pytest.mark.parametrize(
    ("suffix", "text", "words"),
    [
        (".py", "picture_grid = 1", ["picture"]),
        (".py", "def drawMoves(): ...", ["moves, moved"]),
        (".py", "# A rule for\n# images of one size", ["rule"]),
        (".py", 'raise Error("the commonest " f"class")', ["commonest"]),
        (".py", 'error = (\n    "a validation "\n    "part"\n)', ["part"]),
        (".py", "def test_a_wrong_answer_is_counted(): ...", ["answer", "right, wrong"]),
        (".py", "def test_the_answer_to_a_question(): ...", []),
        (".py", "turn_right = part = copy = answer", ["answer"]),
        (".py", "'''Return the part of the sides to the right of a copy.'''", []),
        (".py", "labelled = colours", ["British spelling", "British spelling"]),
        (".py", "min(optimistic, promised)", ["promise"]),
        (".js", "const modelTwin = 1; // the twin", ["twin", "twin"]),
        (".md", "The grey image: `--split-from`, `least_steps`", ["--split-from", "British spelling", "least_steps"]),
        (".py", "import saccade.data.copies", ["copies", "data/copies"]),
        (".md", "No view of it, one move ahead, a fact.", []),
    ],
)  # fmt: skip
def test_words_are_found_in_the_meaning_of_the_table(suffix, text, words, tmp_path) -> None:
    assert sorted(words_in(suffix, text, tmp_path)) == sorted(words)


def test_the_line_of_a_use_is_given(tmp_path) -> None:
    path = tmp_path / "module.py"
    path.write_text('"""First line.\n\nThird.\n"""\n\n# A comment\n# of a picture\nvalue = "twin"\n', encoding="utf-8")
    assert [(use.line, use.word) for use in uses(tmp_path, [path])] == [(7, "picture"), (8, "twin")]


def test_an_exception_covers_its_phrase_and_file_only() -> None:
    (segment,) = [one for one in segments(".md", "a fun house twin, a twin") if one.kind == "prose"]
    inside = Use("docs/a.md", 1, "twin", "", segment, (12, 16))
    outside = Use("docs/a.md", 1, "twin", "", segment, (20, 24))
    row = Exempt("docs/*.md", "twin", "house twin", "an example")
    assert row.covers(inside)
    assert not row.covers(outside)
    assert not Exempt("src/*", "twin", "house twin", "an example").covers(inside)
