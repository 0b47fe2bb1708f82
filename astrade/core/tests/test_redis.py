"""The lean way to Redis: replies belong to the commands that asked for them, whatever happened before."""

import threading
from contextlib import suppress

import pytest
import redis
from django.conf import settings

from astrade.core.redis import ask, sync_client, tell


def test_replies_come_in_the_order_of_the_commands() -> None:
    ask(("DEL", "t:hash"), ("HSET", "t:hash", "a", 1), ("SET", "t:text", b"\x00\xff"))

    assert ask(("GET", "t:text"), ("HGETALL", "t:hash"), ("EXISTS", "t:nothing")) == [b"\x00\xff", {b"a": b"1"}, 0]


def test_an_error_reply_leaves_nothing_behind_for_the_next_call() -> None:
    ask(("SET", "t:text", "no hash"))
    with pytest.raises(redis.ResponseError):
        ask(("HGETALL", "t:text"), ("ECHO", "not mine"))

    assert ask(("ECHO", "mine")) == [b"mine"]


def test_an_answer_that_comes_too_late_is_nobodys() -> None:
    ask(("DEL", "t:empty"))
    with pytest.raises(redis.TimeoutError):
        ask(("BLPOP", "t:empty", settings.REDIS_TIMEOUT_S + 1))

    assert ask(("ECHO", "mine")) == [b"mine"]


def test_what_is_told_arrives_and_its_answers_are_not_taken_for_others() -> None:
    ask(("SET", "t:text", "no hash"), ("DEL", "t:list"))
    for number in range(3):
        tell(("RPUSH", "t:list", number), ("HGET", "t:text", "an error that concerns nobody"))

    assert ask(("LRANGE", "t:list", 0, -1), ("ECHO", "mine")) == [[b"0", b"1", b"2"], b"mine"]


def test_telling_over_a_stale_connection_loses_the_hint_and_nothing_after_it() -> None:
    (mine,) = ask(("CLIENT", "ID"))
    sync_client().client_kill_filter(_id=mine)
    for word in ("lost", "perhaps"):
        with suppress(redis.ConnectionError):
            tell(("ECHO", word))

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
