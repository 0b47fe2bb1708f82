"""The lean way to Redis: replies belong to the commands that asked for them, whatever happened before."""

import threading

import pytest
import redis
from django.conf import settings

from astrade.core.redis import ask, sync_client


def test_replies_come_in_the_order_of_the_commands() -> None:
    ask(("DEL", "t:hash"), ("HSET", "t:hash", "a", 1), ("SET", "t:text", b"\x00\xff"))

    assert ask(("GET", "t:text"), ("HGETALL", "t:hash"), ("EXISTS", "t:nothing")) == [b"\x00\xff", {b"a": b"1"}, 0]


def test_an_error_reply_leaves_nothing_behind_for_the_next_call() -> None:
    ask(("SET", "t:text", "no hash"))
    with pytest.raises(redis.ResponseError):
        ask(("HGETALL", "t:text"), ("ECHO", "not mine"))

    assert ask(("ECHO", "mine")) == [b"mine"]


def test_a_connection_that_went_stale_is_replaced_unseen() -> None:
    (mine,) = ask(("CLIENT", "ID"))
    sync_client().client_kill_filter(_id=mine)

    (later,) = ask(("CLIENT", "ID"))
    assert later != mine


def test_many_threads_are_not_held_to_the_pool_of_the_client() -> None:
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.extend(ask(("PING",))))
        for _ in range(settings.REDIS_MAX_CONNECTIONS + 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == len(threads)
