"""Messages in a folder come out once, in order, whole; rubbish and a full disk stop nothing."""

from __future__ import annotations

import errno

import pytest
from kombu import Connection
from kombu.exceptions import ChannelError

from audit.config import folder_transport


@pytest.fixture
def connect(tmp_path):
    def make() -> Connection:
        options = {"folder": str(tmp_path)}
        return Connection(f"{folder_transport.SCHEME}://", transport_options=options)

    return make


def drain(connection: Connection, queue: str) -> list[object]:
    simple, found = connection.SimpleQueue(queue), []
    while True:
        try:
            message = simple.get(block=False)
        except simple.Empty:
            return found
        message.ack()
        found.append(message.payload)


def test_messages_come_out_once_in_order_and_of_their_own_queue(connect, tmp_path):
    with connect() as writer, connect() as reader:
        for number in range(20):
            writer.SimpleQueue("experts").put({"number": number})
        writer.SimpleQueue("experts.more").put({"number": -1})
        assert [payload["number"] for payload in drain(reader, "experts")] == list(range(20))
        assert drain(reader, "experts") == []
        assert drain(reader, "experts.more") == [{"number": -1}]
    assert not list((tmp_path / "experts").iterdir())


def test_f42_rubbish_is_dropped_and_the_next_message_comes(connect, tmp_path):
    (tmp_path / "experts").mkdir()
    (tmp_path / "experts" / f"0{folder_transport.WAITING}").write_bytes(b"")
    (tmp_path / "experts" / f"1{folder_transport.WAITING}").write_bytes(b"\xff{]")
    with connect() as connection:
        connection.SimpleQueue("experts").put({"number": 1})
        assert drain(connection, "experts") == [{"number": 1}]
    assert not list((tmp_path / "experts").iterdir())


def test_f31_a_full_disk_leaves_no_part_of_a_message(connect, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with connect() as connection:
        queue = connection.SimpleQueue("experts")
        with monkeypatch.context() as broken:
            broken.setattr("audit.durable_files.Path.replace", full)
            with pytest.raises(ChannelError, match="No space left on device"):
                queue.put({"number": 1})
        assert not list((tmp_path / "experts").iterdir())
        queue.put({"number": 2})
        assert drain(connection, "experts") == [{"number": 2}]
