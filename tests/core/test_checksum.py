import hashlib

import pytest

from autotricks.io.checksum import damaged, stamped

JSON, YAML = b'{\n "a": 1\n}\n', b"# two\n# lines\nname: x\n"


@pytest.mark.parametrize(("content", "expected"), [
    (JSON, b'{\n "check": "%s",\n "a": 1\n}\n'), (YAML, b"# two\n# lines\n# check: %s\nname: x\n"),
    (b"name: x\n", b"# check: %s\nname: x\n")])
def test_line_holds_the_sha256_of_the_rest(content, expected):
    assert stamped(content) == expected % hashlib.sha256(content).hexdigest()[:16].encode()
    assert not damaged(stamped(content)) and not damaged(stamped(content).replace(b"\n", b"\r\n"))
    assert not damaged(content)     # of a file that has none nothing can be said


@pytest.mark.parametrize("content", [JSON, YAML])
def test_every_flipped_bit_of_the_rest_is_seen(content):
    whole = stamped(content)
    line = next(line for line in whole.splitlines(keepends=True) if b"check" in line)
    begins, ends = whole.index(line), whole.index(line) + len(line)
    for place in [*range(ends, len(whole)), *range(whole.index(b"check") + 8, ends - 3)]:
        for bit in range(8):
            broken = whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1:]
            # in the checksum itself: another one, or none, and then nothing is wrong with the rest
            assert damaged(broken) or (begins < place < ends and broken[ends:] == whole[ends:]), (place, bit)
