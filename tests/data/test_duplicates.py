import numpy as np
import pytest
from PIL import Image

from autotricks.data import duplicates

from .pictures import noise


def photo(seed, side=64):
    """A smooth color image: noise of 6 x 6 made larger."""
    return Image.fromarray(noise(seed, 6, 6, 3)).resize((side, side), Image.Resampling.BICUBIC)


def marks(images):
    return [[mark(image) for image in images]
            for mark in (duplicates.digest, duplicates.difference_hash, duplicates.thumbnail)]


def alike(images):
    return {tuple(pair) for pair in duplicates.alike(*marks(images)).pairs.tolist()}


def test_the_hash_by_hand():
    """Brightness rises to the right in every row and falls downward: 64 ones, then 64 zeros."""
    values = np.add.outer(-10 * np.arange(9), 10 * np.arange(9)) + 90
    assert duplicates.difference_hash(Image.fromarray(values.astype(np.uint8))) == b"\xff" * 8 + b"\0" * 8
    values[0, :2] = [91, 90]    # one cell falls where it rose: the first bit of the horizontal half
    assert duplicates.difference_hash(Image.fromarray(values.astype(np.uint8))) == b"\x7f" + b"\xff" * 7 + b"\0" * 8


def test_copies_are_equal_in_shape_and_pixels_however_stored():
    gray = Image.fromarray(noise(0, 4, 6))
    assert duplicates.digest(gray) == duplicates.digest(gray.convert("RGB"))
    assert duplicates.digest(gray) != duplicates.digest(Image.fromarray(noise(0, 4, 6).reshape(6, 4)))
    other = noise(0, 4, 6)
    other[3, 5] ^= 1
    assert duplicates.digest(gray) != duplicates.digest(Image.fromarray(other))


def test_groups_of_equal_marks():
    assert duplicates.equal([b"a", b"b", b"a", b"c", b"b", b"a"]) == [[0, 2, 5], [1, 4]]
    assert duplicates.contradictions([b"a", b"b", b"a", b"b"], ["x", "y", "z", "y"]) == 2


def test_what_looks_alike_is_found_among_what_does_not(tmp_path):
    images = [photo(seed) for seed in range(60)]
    images[40] = images[3].resize((40, 40))                             # smaller
    images[41] = Image.fromarray((np.asarray(images[4]) * 0.6 + 50).astype(np.uint8))  # flatter, brighter
    images[5].save(tmp_path / "x.jpg", quality=30)
    images[42] = Image.open(tmp_path / "x.jpg")                         # stored with loss
    images[43] = images[6].convert("L")                                 # without color
    images[44] = images[7].crop((1, 1, 63, 63)).resize((64, 64))        # cut a little
    images[45] = images[8].copy()                                       # equal: not merely alike
    images[46] = images[9].transpose(Image.Transpose.FLIP_LEFT_RIGHT)   # a mirror image is another
    assert alike(images) == {(3, 40), (4, 41), (5, 42), (6, 43), (7, 44)}


def test_one_sky_does_not_look_like_another():
    """Two ramps with other clouds: their values correlate by 0.99, their slopes hardly."""
    ramp = np.linspace(60, 200, 64)[:, None]
    skies = [ramp + np.asarray(photo(seed).convert("L"), float) / 20 for seed in (1, 2)]
    assert np.corrcoef(skies[0].ravel(), skies[1].ravel())[0, 1] > 0.99
    images = [Image.fromarray(sky.astype(np.uint8)) for sky in skies]
    images.append(Image.fromarray((skies[0] * 0.8).astype(np.uint8)))
    names, hashes, small = marks(images)
    found = duplicates.alike(names, [hashes[0]] * 3, small)     # as if the hash could not tell them apart
    assert found.pairs.tolist() == [[0, 2]]


def test_flat_images_look_like_nothing():
    assert alike([Image.new("L", (20, 20), value) for value in (0, 128, 255)]) == set()


def test_the_correlation_is_that_of_numpy():
    one, two = noise(1, 5, 256), noise(2, 5, 256)
    two[1:3] = one[1:3] // 2
    expected = [np.corrcoef(left, right)[0, 1] for left, right in zip(one.astype(float), two.astype(float))]
    assert duplicates._correlation(one, two).tolist() == pytest.approx(expected, abs=1e-5)


def test_every_pair_is_compared_across_blocks_and_the_work_is_bounded(monkeypatch):
    images = [photo(seed, 16) for seed in range(30)]
    images[29] = Image.fromarray((np.asarray(images[0]) * 0.9).astype(np.uint8))
    for block in (1, 7, 30):
        monkeypatch.setattr(duplicates, "BLOCK", block)
        assert alike(images) == {(0, 29)}
    monkeypatch.setattr(duplicates, "MOST", 11)
    found = duplicates.alike(*marks(images))
    assert found.looked == 11 and found.pairs.tolist() == [[0, 29]]     # evenly spaced: the first and last are in
    monkeypatch.setattr(duplicates, "CANDIDATES", 2)
    brighter = [Image.fromarray((np.asarray(images[0]) * (0.9 - 0.02 * row)).astype(np.uint8)) for row in range(6)]
    found = duplicates.alike(*marks(brighter))
    assert not found.complete and len(found.pairs) == 2
