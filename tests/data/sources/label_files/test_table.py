"""Formats of label files as text: delimiters, encodings, quotation marks, line ends and JSON lines."""

import codecs
import json

import pytest
from tests.data.images import write
from tests.data.sources.label_files.reading import failure, labels, listing_of, notes

ROWS = "file_name,label\n1.png,cat\n2.png,dog\n3.png,cat\n4.png,dog\n"
READ = {"1.png": "cat", "2.png": "dog", "3.png": "cat", "4.png": "dog"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "CSV"])
def test_delimiters(images, delimiter, suffix):
    path = write(images / f"labels.{suffix}", ROWS.replace(",", delimiter).encode())
    assert labels(path) == labels(images) == READ


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", ["", "sep=;", '"sep=;"'])
def test_line_ends_and_the_line_of_spreadsheets(images, line_end, first):
    text = (f"{first}\n" if first else "") + ROWS.replace(",", ";")
    if first and line_end == "\r":
        return  # spreadsheets write the line with the ends of Windows
    assert labels(write(images / "labels.csv", text.replace("\n", line_end).encode())) == READ


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(("cat", "delimiter"), [("cat", ","), ("Kätzchen", ";"), ("猫", "\t"), ("😀", ",")])
def test_encodings(images, encoding, cat, delimiter):
    text = ROWS.replace("cat", cat).replace(",", delimiter)
    path = write(images / "labels.csv", text.encode(encoding))
    assert labels(path) == {name: cat if label == "cat" else label for name, label in READ.items()}
    assert notes(path) == ()


def test_big_endian_with_a_byte_order_mark(images):
    assert labels(write(images / "labels.csv", codecs.BOM_UTF16_BE + ROWS.encode("utf-16-be"))) == READ


def test_windows_1252_is_read_with_a_note(images):
    path = write(images / "labels.csv", ROWS.replace("cat", "Käfer: 5 €").encode("cp1252"))
    assert labels(path)["1.png"] == "Käfer: 5 €"
    assert notes(path) == ("labels.csv is no UTF-8 and was read as Windows-1252: save it as UTF-8 if names look wrong",)


def test_quotation_marks(images):
    text = '"file_name", "a note, with ""quotes""", "label"\n"1.png","two\nlines","cat, big"\n'
    text += '2.png,"three\r\nshort\nlines","say ""woof"""\n\n  \n3.png,5" wide,"cat, big"\n'
    path = write(images / "labels.csv", text.encode())
    assert labels(path) == {"1.png": "cat, big", "2.png": 'say "woof"', "3.png": "cat, big"}


def test_values_at_the_end_may_be_missing_or_empty(images):
    text = "file_name,label,note,\n1.png,cat\n2.png,dog,x\n3.png,cat,,,,\n4.png,dog,x,\n"
    assert labels(write(images / "labels.csv", text.encode())) == READ


def test_a_column_without_a_name_is_an_index(images):
    text = ",Unnamed: 0,file_name,label\n0,7,1.png,cat\n1,8,2.png,dog\n"
    assert labels(write(images / "labels.csv", text.encode())) == {"1.png": "cat", "2.png": "dog"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('file_name,label\n1.png,"cat\n2.png,dog\n', "line 2: unexpected end of data"),
        ('file_name,label\n1.png,"ca"t\n2.png,dog\n', "line 2: "),
        ("file_name,label\n1.png,cat\n2.png,dog,owl\n", "found: 3 values in line 3"),
        ("sep=,\nfile_name,label\n1.png,cat\n2.png,dog,owl\n", "found: 3 values in line 4"),
        ('file_name,label\n"1.png","two\nlines"\n2.png,dog,owl\n', "found: 3 values in line 4"),
        ("file_name,label,label\n1.png,cat,cat\n", "twice 'label'"),
        ("", "found: an empty file"),
        ("\n \n", "found: an empty file"),
        ("file_name,label\n", "rows with an image and a label"),
        ("1.png,cat\n2.png,dog\n", "add a first line with the names of the columns"),
        ("file_name\n1.png\n", "name the column with --label-column"),
        ("file_name,label\n1.png,c\0t\n", "bytes of a file of another kind in line 2"),
        (f"file_name,label\n1.png,{'x' * 140_000}\n", "line 2: field larger than field limit"),
        (f"file_name,label\n1.png,{'x' * 300}\n", "at most 255 characters in the column 'label'"),
    ],
)
def test_damaged_files_are_refused_with_the_line(images, text, expected):
    path = write(images / "labels.csv", text.encode())
    assert expected in failure(path)
    assert expected in failure(images)  # the folder has no classes, so the error is that of the label file
    assert "the label file" in failure(images)


def test_utf_32_is_refused(images):
    assert "text in UTF-8 or UTF-16" in failure(write(images / "labels.csv", ROWS.encode("utf-32")))


def test_a_damaged_file_further_down_and_beside_a_single_folder(tmp_path):
    write(tmp_path / "data" / "labels.csv", b"file_name,label\n1.png,cat,x\n")
    write(tmp_path / "data" / "images" / "1.png", b"1")
    assert "found: 3 values in line 2" in failure(tmp_path)


def test_a_damaged_file_beside_class_folders_is_a_side_file(tmp_path):
    write(tmp_path / "labels.csv", b'file_name,label\n1.png,"cat\n')
    write(tmp_path / "cat" / "1.png", b"1")
    write(tmp_path / "dog" / "2.png", b"2")
    assert labels(tmp_path) == {"cat/1.png": "cat", "dog/2.png": "dog"}


def json_lines(path, *rows, line_end="\n"):
    return write(path, line_end.join(json.dumps(row) for row in rows).encode())


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\n\n"])
def test_json_lines(images, suffix, line_end):
    rows = [{"file_name": name, "label": label, "box": [1, {"a": None}]} for name, label in READ.items()]
    assert labels(json_lines(images / f"labels.{suffix}", *rows, line_end=line_end)) == READ


def test_json_lines_with_other_line_separators_inside_a_value(images):
    text = '{"file_name": "1.png", "label": "a\u2028b"}\n{"file_name": "2.png", "label": "b\u0085"}\n'
    assert set(labels(write(images / "labels.jsonl", text.encode()))) == {"1.png", "2.png"}


def test_numbers_and_missing_values_in_json_lines(images):
    rows = [{"image": f"{number}.png", "target": value} for number, value in enumerate((3, 10.0, None, True), start=1)]
    path = json_lines(images / "labels.jsonl", *rows)
    assert labels(path) == {"1.png": "3", "2.png": "10", "4.png": "True"}
    assert "left out: rows of labels.jsonl without a label: line 3" in notes(path)
    write(path, b'{"image": "1.png", "target": NaN}\n{"image": 2, "target": 1}\n{"image": "3.png", "target": 12}')
    assert labels(path) == {"2.png": "1", "3.png": "12"}
    assert listing_of(path).class_names == ("1", "12")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"file_name": ', "line 2: Expecting value"),
        ('["1.png", "cat"]', "one JSON object in each line"),
        ('{"file_name": "1.png", "label": ["cat", "dog"]}', "several labels in line 2"),
        ('{"file_name": "1.png", "label": {"a": 1}}', "several labels in line 2"),
        ('{"file_name": ["1.png"], "label": "cat"}', "text or numbers in the column 'file_name'"),
        ('{"file_name": "1.png", "label": "\\ud800"}', "text or numbers in the column 'label'"),
        ('{"file_name": "1.png", "label": "cat", "group": {}}', "text or numbers in the column 'group'"),
        ('{"file_name": "a\\u0000b", "label": "cat"}', "text or numbers in the column 'file_name'"),
        (f'{{"file_name": "1.png", "label": {"9" * 5000}}}', "line 2: "),
        ("[" * 100_000, "line 2: "),
    ],
)
def test_damaged_json_lines_are_refused_with_the_line(images, line, expected):
    path = write(images / "labels.jsonl", f'{{"file_name": "2.png", "label": "dog"}}\n{line}\n'.encode())
    assert expected in failure(path)
    assert len(failure(path)) < 600
