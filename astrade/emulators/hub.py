"""Who listens to what: topics, and the inboxes of the connections that asked for them."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

Topic = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class News:
    """One message of a topic; `kind` is v1's type, None where v1 has none. `is_first`: what a new listener gets."""

    topic: Topic
    kind: str | None
    data: Any
    at_ms: int
    is_first: bool = False


Inbox = asyncio.Queue[News]


class Hub:
    """Delivers news in the order they are published."""

    def __init__(self) -> None:
        self._inboxes: dict[Topic, list[Inbox]] = defaultdict(list)

    def subscribe(self, topic: Topic, inbox: Inbox) -> None:
        """From now on `inbox` gets the topic's news."""
        self._inboxes[topic].append(inbox)

    def unsubscribe(self, topic: Topic, inbox: Inbox) -> None:
        """No more of it; never having subscribed is no error."""
        inboxes = self._inboxes[topic]
        if inbox in inboxes:
            inboxes.remove(inbox)
        if not inboxes:
            del self._inboxes[topic]

    def topics(self, first: str) -> list[Topic]:
        """Topics that somebody listens to and whose first part is `first`."""
        return [topic for topic in self._inboxes if topic[0] == first]

    def publish(self, news: News) -> None:
        """Into every inbox of its topic."""
        for inbox in self._inboxes.get(news.topic, ()):
            inbox.put_nowait(news)
