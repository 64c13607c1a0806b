import pytest
from tests.auditing.broken_folders import BROKEN, sound

from saccade.auditing.audit import audit


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return sound(tmp_path_factory.mktemp("sound") / "pets")


def test_a_folder_without_problems_has_no_findings(template, tmp_path):
    found = audit(template, folds=0, out=tmp_path / "audit")
    assert found.findings == ()
    assert found.num_images == {"train": 60, "test": 20}


def test_the_digits_have_no_findings(tmp_path):
    assert audit("digits", folds=0, out=tmp_path / "audit").findings == ()


@pytest.mark.parametrize("broken", BROKEN, ids=lambda function: function.__name__)
def test_each_problem_has_its_finding(broken, tmp_path):
    root = sound(tmp_path / "pets")
    broken(root)
    kind, severity, summary, fix = BROKEN[broken]
    findings = audit(root, folds=0, out=tmp_path / "audit").findings
    (finding,) = [finding for finding in findings if finding.kind == kind]
    assert finding.severity == severity
    assert summary in finding.summary
    assert fix in finding.fix
    # There are no findings of other kinds.
    assert {finding.kind for finding in findings} == {kind}
