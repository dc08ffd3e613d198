"""Messages that come as one whole frame pass the library's parser by: never what it would not have read the same."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.server import ServerProtocol

from plexus.gateway import Gateway
from plexus.gateway.wholeframes import between_messages, whole_text
from tests.support.gateway import device

LIMIT = 2_000

masks = st.binary(min_size=4, max_size=4)
sizes = st.one_of(st.integers(0, 130), st.integers(131, LIMIT + 50), st.sampled_from([125, 126, 127, LIMIT, LIMIT + 1]))


@attrs.frozen
class Sent:
    """One frame as bytes, and whether a message may begin behind it."""

    data: bytes
    ends_message: bool


def head_of(size: int, *, wide: bool) -> bytes:
    """The length with the bit of a mask; `wide`, longer than it has to be."""
    if size < 126 and not wide:
        return bytes((0x80 | size,))
    if size < 2**16 and (size < 126 or not wide):
        return bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    return bytes((0x80 | 127,)) + size.to_bytes(8, "big")


def frame_of(first: int, payload: bytes, mask: bytes, *, wide: bool = False) -> bytes:
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes((first,)) + head_of(len(payload), wide=wide) + mask + masked


@st.composite
def one_frame(draw: st.DrawFn) -> bytes:
    first = draw(st.one_of(st.sampled_from([0x81, 0x81, 0x82, 0x01, 0x80, 0x89, 0xC1]), st.integers(0, 255)))
    payload = draw(st.binary(min_size=1, max_size=8)) * (draw(sizes) // 4)
    return frame_of(first, payload, draw(masks), wide=draw(st.booleans()))


@st.composite
def conversation(draw: st.DrawFn) -> Sequence[Sent]:
    """Messages in one piece or several, and pings between them."""
    sent: list[Sent] = []
    for _ in range(draw(st.integers(1, 6))):
        pieces = draw(st.lists(st.binary(max_size=200), min_size=1, max_size=3))
        opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            first = (0x80 if last else 0) | (Opcode.CONT if number else opcode)
            sent.append(Sent(frame_of(first, piece, draw(masks)), last))
            if draw(st.booleans()):
                sent.append(Sent(frame_of(0x89, b"ping", draw(masks)), last))
    return sent


def opened(limit: int | None = LIMIT) -> Protocol:
    return Protocol(SERVER, state=OPEN, max_size=limit)


class TestReading:
    @given(one_frame(), st.binary(max_size=3), st.integers(0, 20))
    def test_what_is_read_is_what_the_library_would_have_read(self, data: bytes, behind: bytes, cut: int) -> None:
        for piece in (data, data + behind, data[: max(0, len(data) - cut)]):
            message = whole_text(piece, LIMIT)
            if message is None:
                continue
            library = opened()
            library.receive_data(piece)
            assert library.parser_exc is None
            assert library.events_received() == [Frame(Opcode.TEXT, message)]
            assert between_messages(library)

    @given(st.binary(max_size=64))
    def test_bytes_of_any_kind_are_read_as_the_library_does_or_not_at_all(self, data: bytes) -> None:
        message = whole_text(data, LIMIT)
        library = opened()
        library.receive_data(data)
        assert message is None or library.events_received() == [Frame(Opcode.TEXT, message)]

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 1_000, LIMIT])
    def test_a_whole_text_frame_is_read(self, size: int) -> None:
        assert whole_text(Frame(Opcode.TEXT, b"x" * size).serialize(mask=True), LIMIT) == b"x" * size

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(Frame(Opcode.TEXT, b"x" * (LIMIT + 1)).serialize(mask=True), id="too long"),
            pytest.param(Frame(Opcode.TEXT, b"x").serialize(mask=False), id="not masked"),
            pytest.param(Frame(Opcode.TEXT, b"x", fin=False).serialize(mask=True), id="the first piece of several"),
            pytest.param(Frame(Opcode.BINARY, b"x").serialize(mask=True), id="binary"),
            pytest.param(Frame(Opcode.PING, b"x").serialize(mask=True), id="a ping"),
            pytest.param(Frame(Opcode.TEXT, b"x").serialize(mask=True) * 2, id="two of them"),
            pytest.param(Frame(Opcode.TEXT, b"x" * 70_000).serialize(mask=True), id="eight bytes of length"),
            pytest.param(frame_of(0x81, b"x" * 119, b"abcd", wide=True)[:1] + b"\xff" + b"x" * 131, id="length 127"),
            pytest.param(b"", id="nothing"),
            pytest.param(b"\x81", id="a byte"),
        ],
    )
    def test_anything_else_is_left_to_the_library(self, data: bytes) -> None:
        assert whole_text(data, LIMIT) is None


class TestBetweenMessages:
    @given(conversation(), st.data())
    def test_a_message_is_next_just_where_one_has_ended(self, sent: Sequence[Sent], data: st.DataObject) -> None:
        stream = b"".join(each.data for each in sent)
        ends, at = {0}, 0
        for each in sent:
            at += len(each.data)
            if each.ends_message:
                ends.add(at)
        library, fed = opened(None), 0
        while fed < len(stream):
            piece = stream[fed : fed + data.draw(st.integers(1, 250))]
            library.receive_data(piece)
            fed += len(piece)
            assert library.parser_exc is None
            assert between_messages(library) == (fed in ends)

    def test_there_is_none_before_the_handshake_nor_after_a_close(self) -> None:
        assert not between_messages(ServerProtocol())
        library = opened()
        assert between_messages(library)
        library.receive_data(Frame(Opcode.CLOSE, b"").serialize(mask=True))
        assert not between_messages(library)

    def test_there_is_none_after_what_breaks_the_protocol(self) -> None:
        library = opened()
        library.receive_data(b"\x83\x80abcd")
        assert not between_messages(library)


class TestOnASocket:
    def test_a_whole_message_passes_the_parser_by_and_one_in_two_pieces_does_not(
        self, shared: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parsed: list[bytes] = []
        receive = ServerProtocol.receive_data

        def counted(conn: ServerProtocol, data: bytes) -> None:
            parsed.append(bytes(data))
            receive(conn, data)

        with device(shared, "whole-01", acks=True) as wire:
            monkeypatch.setattr(ServerProtocol, "receive_data", counted)
            wire.telemetry({"metric": "m", "value": 1.5}, seq=1)
            assert wire.hear()["seq"] == 1
            assert parsed == []
            text = '{"type":"telemetry","seq":2,"points":[{"metric":"m","value":2.5}]}'
            wire.connection.send(iter([text[:20], text[20:]]))
            assert wire.hear()["seq"] == 2
            assert len(b"".join(parsed)) > len(text)
            before = len(parsed)
            wire.telemetry({"metric": "m", "value": 3.5}, seq=3)
            assert wire.hear()["seq"] == 3
            assert len(parsed) == before, "after the pieces it is whole messages again"

    def test_text_that_is_no_utf_8_ends_the_socket_with_1007(self, shared: Gateway) -> None:
        with device(shared, "whole-02") as wire:
            wire.connection.socket.sendall(Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True))
            assert wire.closed()[0] == 1007
