"""One device that keeps a copy of a library, as docs/protocol.md describes. It needs Python 3.9 and no packages.

    device = Device("http://127.0.0.1:4000", token, "phone.json", "Phone")
    story, progress = device.add("Persuasion", "https://www.gutenberg.org/ebooks/105")
    device.update(progress, currentChapter=4)
    device.rows()  # what the screen shows: the copy, with the changes that wait in the outbox

`token` is a function that returns a valid token. Two threads run until `close`: one listens, one sends and loads.
"""
import json, os, random, threading, urllib.error, urllib.request, uuid

CHANGES = """query ($since: Int!, $epoch: ID, $after: String) {
  libraryChanges(since: $since, epoch: $epoch, after: $after) { head reset erased hasMore endCursor changes { __typename
    ... on Story { id stamp title url } ... on Progress { id stamp storyId currentChapter notes }
    ... on Tag { id stamp name } ... on Fandom { id stamp name } ... on Tombstone { kind rowId stamp } } } }"""
CONFLICT = "conflict { resolution fields { field base yours theirs device { id name } at } }"
MUTATION = "mutation ($input: {type}Input!) {{ {name}(input: $input) {{ libraryHead refusal {{ code message field }} {more} }} }}"
TEMPORARY = ("UNAVAILABLE", "INTERNAL_SERVER_ERROR", "REQUEST_TIMEOUT", "UNAUTHENTICATED", "TOKEN_EXPIRED")


def order(head):
    """The key by which heads compare: the epoch first, both as integers."""
    return tuple(int(part) for part in head.split(".")) if head else (0, 0)


class Failed(Exception):
    def __init__(self, message, is_temporary, code=""):
        super().__init__(message)
        self.is_temporary, self.code = is_temporary, code  # temporary: the same request can succeed later


class Device:
    def __init__(self, url, token, path, name, heartbeat=30.0, longest_wait=10.0):
        self.url, self.token, self.path, self.name, self.heartbeat, self.longest_wait = url, token, path, name, heartbeat, longest_wait
        self.newest, self.wake, self.closing = None, threading.Condition(), False  # newest: the newest head that was received
        self.state = {"device": str(uuid.uuid4()), "head": None, "rows": {}, "outbox": [], "reports": []}
        if os.path.exists(path):
            self.state = json.load(open(path, encoding="utf-8"))
        for run in (self._listen, self._work):
            threading.Thread(target=run, daemon=True).start()

    def add(self, title, url, **fields):
        story, progress = (str(uuid.uuid4()) for _ in range(2))
        self._queue("createStoryWithProgress", {"title": title, "url": url, "storyId": story, "progressId": progress, **fields})
        return story, progress

    def update(self, progress, **fields):
        self._queue("updateProgress", {"id": progress, "base": self.state["head"], **fields})

    def delete(self, progress):
        self._queue("deleteProgress", {"id": progress, "base": self.state["head"]})

    def rows(self):
        """What the screen shows: the copy, with the changes of the outbox applied to it."""
        with self.wake:
            rows = {key: dict(row) for key, row in self.state["rows"].items()}
            for change in self.state["outbox"]:
                self._apply(rows, change["mutation"], change["input"])
        return rows

    def close(self):
        with self.wake:
            self.closing = True
            self.wake.notify_all()

    def _queue(self, mutation, fields):  # the key, the base and the device are those of each attempt
        fields.update(idempotencyKey=str(uuid.uuid4()), device={"id": self.state["device"], "name": self.name})
        with self.wake:
            self.state["outbox"].append({"mutation": mutation, "input": fields})
            self._save()
            self.wake.notify_all()

    @staticmethod
    def _apply(rows, mutation, change):
        if mutation == "createStoryWithProgress":
            story, progress = change["storyId"], change["progressId"]
            rows["STORY " + story] = {"id": story, "title": change["title"], "url": change["url"]}
            rows["PROGRESS " + progress] = {"id": progress, "storyId": story, "currentChapter": change.get("currentChapter", 0)}
        elif mutation == "updateProgress":
            rows.get("PROGRESS " + change["id"], {}).update({f: change[f] for f in ("currentChapter", "notes") if f in change})
        else:
            progress = rows.pop("PROGRESS " + change["id"], {})
            rows.pop("STORY " + progress.get("storyId", ""), None)

    def _send(self):
        change = self.state["outbox"][0]
        name = change["mutation"]
        try:
            query = MUTATION.format(type=name[0].upper() + name[1:], name=name, more="" if name == "createStoryWithProgress" else CONFLICT)
            payload = self._ask(query, {"input": change["input"]})[name]
        except Failed as error:
            if error.is_temporary:
                raise
            if error.code == "ACCOUNT_ERASED":
                return self._erase()
            payload = {"refusal": {"code": "INVALID", "message": str(error)}}
        with self.wake:
            self.state["outbox"].pop(0)
            if payload["refusal"] or payload.get("conflict"):  # for the user, whose text it can hold
                self.state["reports"].append({**change, "refusal": payload["refusal"], "conflict": payload.get("conflict")})
            self._save()
        self._hear(payload.get("libraryHead"))

    def _load(self):
        head, rows, after = self.state["head"], dict(self.state["rows"]), None
        since, epoch = (order(head)[1], head.split(".")[0]) if head else (0, None)
        while True:
            page = self._ask(CHANGES, {"since": since, "epoch": epoch, "after": after}, epoch)["libraryChanges"]
            if page["erased"]:
                self._erase()
            if page["reset"]:
                rows, since, epoch, after = {}, 0, None, None
                continue
            for row in page["changes"]:
                if row["__typename"] == "Tombstone":
                    rows.pop(row["kind"] + " " + row["rowId"], None)
                else:
                    rows[row["__typename"].upper() + " " + row["id"]] = row
            after = page["endCursor"]
            if not page["hasMore"]:
                break
        with self.wake:  # at once: until here the screen shows the old copy
            self.state.update(rows=rows, head=page["head"])
            self._save()
        self._hear(page["head"])

    def _erase(self):  # the account was erased: nothing of it stays here, unsent changes included
        with self.wake:
            self.state.update(head=None, rows={}, outbox=[], reports=[])
            self._save()

    def _save(self):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".new", self.path)

    def _hear(self, head, replaces=False):
        with self.wake:
            if head and (replaces or order(head) > order(self.newest)):
                self.newest = head
                self.wake.notify_all()

    def _pause(self, seconds, failures):
        with self.wake:
            longest = min(self.longest_wait, seconds * 2 ** min(failures, 10))
            self.wake.wait_for(lambda: self.closing, longest * random.uniform(0.5, 1))

    def _work(self):
        failures = 0
        is_stale = lambda: self.newest is not None and self.newest != self.state["head"]
        while not self.closing:
            failed = False
            for is_due, step in ((lambda: self.state["outbox"], self._send), (is_stale, self._load)):
                try:
                    if is_due():
                        step()
                except (Failed, OSError, ValueError) as error:
                    failed = True
                    print(self.name, "tries again:", error)
            failures = failures + 1 if failed else 0
            if failed or is_stale():
                self._pause(0.25, failures)
            with self.wake:
                self.wake.wait_for(lambda: self.closing or self.state["outbox"] or is_stale())

    def _listen(self):
        retry, failures = 1.0, 0
        while not self.closing:
            event = {}
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": self.newest} if self.newest else {})}
            try:
                with self._request("/api/library-version-events", headers, timeout=2 * self.heartbeat) as stream:
                    for line in stream:
                        field, _, value = line.decode().rstrip("\n").partition(":")
                        if field:
                            event[field] = value[1:] if value.startswith(" ") else value
                        else:  # an empty line ends the event
                            retry = int(event.get("retry", 1_000 * retry)) / 1_000
                            data = json.loads(event.get("data", "{}"))
                            kind = data.get("type")
                            if data.get("resume") == "erased":
                                self._erase()
                            self._hear(event.get("id"), replaces=kind == "connected")
                            event, failures = {}, 0 if kind else failures
                        if self.closing:
                            return
            except (Failed, OSError, ValueError) as error:
                failures += 1
                print(self.name, "listens again:", error)
            self._pause(retry, failures)

    def _request(self, path, headers, body=None, timeout=30.0):
        headers = {"Authorization": "Bearer " + self.token(), **headers}
        try:
            return urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers), timeout=timeout)
        except urllib.error.HTTPError as error:
            is_temporary = error.code >= 500 or error.code in (401, 408, 429)
            raise Failed(f"status {error.code}: {error.read().decode()}", is_temporary) from error

    def _ask(self, query, variables, epoch=None):
        headers = {"Content-Type": "application/json", "Accept": "application/graphql-response+json"}
        if epoch and self.newest and self.newest.split(".")[0] == epoch:
            headers["X-Min-Library-Version"] = self.newest.split(".")[1]
        if self.state["head"]:  # protects a new library from changes that were queued before an erasure
            headers["X-Library-Applied"] = self.state["head"]
        body = json.dumps({"query": query, "variables": variables}).encode()
        with self._request("/graphql", headers, body) as response:
            result = json.load(response)
        for error in result.get("errors", []):
            code = error.get("extensions", {}).get("code", "")
            raise Failed(error["message"], code in TEMPORARY or code.startswith("TOO_MANY_"), code)
        return result["data"]
