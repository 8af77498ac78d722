"""Gray of every depth and transparency, against values computed by hand; what the decoder hides is set aside."""
import threading

import numpy as np
import pytest
from PIL import Image

from autotricks.data import decode, look, tones
from autotricks.data.memory import Room

from .pictures import chunk
from .test_bad_images import START, deep, png, tiff, written


def key(*values):
    return chunk(b"tRNS", deep(*values))


def twelve(packed, count):
    """A 12-bit TIFF: two values in three bytes."""
    head = bytearray(tiff("<", 16, 1, [0] * count)[:START])
    head[head.index(b"\x02\x01\x03\x00\x01\x00\x00\x00\x10") + 8] = 12
    return bytes(head) + packed


RIGHT = {
    "16_bits": (png(2, 1, 16, 0, [deep(514, 65535)], key(514)), [255, 255]),
    "16_bits_other": (png(2, 1, 16, 0, [deep(514, 65535)], key(515)), [2, 255]),
    "4_bits": (png(3, 1, 4, 0, [b"\x5a\x10"], key(5)), [255, 170, 17]),
    "2_bits": (png(4, 1, 2, 0, [b"\x1b"], key(1)), [0, 255, 170, 255]),
    "1_bit": (png(4, 1, 1, 0, [b"\x50"], key(0)), [255] * 4),
    "8_bits": (png(2, 1, 8, 0, [b"\x05\x09"], key(5)), [255, 9]),
    "white_is_zero_16": (tiff("<", 16, 1, [0, 129, 32896, 65535], white=0), [255, 254, 127, 0]),
    "white_is_zero_float": (tiff(">", 32, 3, [0, 0.2, 1], white=0), [255, 204, 0]),
    "12_bits": (twelve(bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x01]), 4), [0, 128, 255, 0]),
    "signed_8_of_no_sign": (tiff("<", 8, 2, [0, 5, 127]), [0, 5, 127])}
HIDDEN = {
    "16_bit_color": (png(2, 1, 16, 2, [deep(0x1234, 0x1234, 0x1234, 0x3400, 1, 1)], key(0x1234, 0x1234, 0x1234)),
                     "transparent color of 16 bits"),
    "signed_8": (tiff("<", 8, 2, [-5, 0, 5]), "gray values from -5 to 5")}


@pytest.mark.parametrize("name", RIGHT)
def test_right_values(name):
    content, expected = RIGHT[name]
    assert decode.decode(content).tolist() == [[expected]]


@pytest.mark.parametrize("name", HIDDEN)
def test_set_aside(name):
    content, words = HIDDEN[name]
    with pytest.raises(tones.Unusable, match=words):
        decode.decode(content)


def test_12_bits_are_not_nearly_black(tmp_path):
    (tmp_path / "a.tif").write_bytes(twelve(bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x01]), 4))
    (tmp_path / "b.tif").write_bytes(tiff("<", 16, 1, [0, 128, 2048, 4095]))
    assert [look.at_file(tmp_path / name).dim for name in ("a.tif", "b.tif")] == [False, True]


def test_blocks_do_not_show(monkeypatch):
    monkeypatch.setattr(tones, "BLOCK", 7)
    values = np.arange(0, 65536, 13, dtype=np.uint16)[:5041].reshape(71, 71)
    assert (tones.eight_bits(values) == (values.astype(int) * 2 + 257) // 514).all()    # v / 257 rounded


def test_an_mpo_whose_first_picture_was_never_written_to_its_end():
    first = Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8))
    whole = written("MPO", first, save_all=True, append_images=[first.rotate(90)])
    second = whole.index(b"\xff\xd8\xff", 4)
    for end, sound in ((second // 2, False), (second - 100, False), (second, True), (second + 900, True)):
        content = whole[:end] + bytes(len(whole) - end)
        if sound:
            assert (decode.decode(content) == decode.decode(whole)).all()
        else:
            with pytest.raises(tones.Unusable, match="ends in zeros"):
                decode.decode(content)


def test_no_more_pixels_are_decoded_at_a_time_than_there_is_room_for():
    room, inside, most = Room(10), [], []

    def work(count):
        with room.taken(count):
            inside.append(count)
            most.append(sum(inside))
            threading.Event().wait(0.01)
            inside.remove(count)

    threads = [threading.Thread(target=work, args=(count,)) for count in (6, 6, 10, 3, 1, 4, 10, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(most) == 8 and max(most) == 10 and not inside


def test_images_wait_for_room(monkeypatch):
    taken = []

    class Noted(Room):
        def taken(self, count):
            taken.append(count)
            return super().taken(count)

    monkeypatch.setattr(decode, "_room", Noted(decode.MAX_PIXELS))
    decode.decode(written("JPEG", Image.new("RGB", (800, 400))), size=50)
    assert taken == [200 * 100]      # what is decoded of a JPEG, not all that it has


def test_the_room_of_a_large_image_is_left_with_its_memory_freed(monkeypatch):
    held = []
    monkeypatch.setattr(decode, "upright", lambda image: held.append(tones.flat(image)) or held[-1])
    content = written("PNG", Image.new("RGB", (8, 4), "red"))
    assert decode.decode(content).shape == (3, 4, 8) and len(held) == 1
    for picture in held:
        with pytest.raises(ValueError, match="closed image"):
            picture.getpixel((0, 0))
