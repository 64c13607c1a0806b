import pytest

from saccade.sanitize import printable, printable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://ada:S3CRET@bucket/cat.jpg", "s3://***@bucket/cat.jpg"),
        ("'http://ada:S3CRET@host/a' and ray://S3CRET@host:1", "'http://***@host/a' and ray://***@host:1"),
        (
            "https://b/a.jpg?X-Amz-Credential=S3CRET&x=1&X-Amz-Signature=S3CRET",
            "https://b/a.jpg?X-Amz-Credential=***&x=1&X-Amz-Signature=***",
        ),
        ("https://b/a.jpg?sv=1&sig=S3CRET", "https://b/a.jpg?sv=1&sig=***"),
        ("s3://bucket/a@b?c=d&e", "s3://bucket/a@b?c=d&e"),
        ("ada@home: photos://", "ada@home: photos://"),
    ],
)
def test_users_passwords_and_signatures_of_addresses_are_not_printed(text, shown):
    assert printable(text) == printable_json(text) == shown


def test_control_characters_are_escaped():
    assert printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert printable("a\nb", lines=True) == "a\nb"
