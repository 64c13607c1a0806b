"""The Python of docs/data.md runs."""

from tests.conftest import REPOSITORY
from tests.snippets import fenced_blocks


def test_the_example_of_images_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = [
        block.code
        for block in fenced_blocks((REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8"))
        if block.language == "python"
    ]
    names: dict[str, object] = {}
    exec(compile(code, "data.md", "exec"), names)
    assert "probability" in repr(names["prediction"]) or "%" in repr(names["prediction"])
    assert (tmp_path / "runs/memory/model.keras").is_file()
