"""How an operator's program speaks to edgecapd."""

import json

from harness.daemon import TOKEN, bearer


class Api:
    """Asks over one connection, which stays open."""

    def __init__(self, client):
        self.path = client.path
        self.base = client.base
        self._connection = client.connect()
        self._headers = bearer(TOKEN)

    def ask(self, method, target, status=200, **body):
        """The result of a request that must have this status."""
        content = json.dumps(body) if body else None
        self._connection.request(method, target, content, self._headers)
        reply = self._connection.getresponse()
        answer = reply.read()
        assert reply.status == status, answer
        return json.loads(answer)["result"] if answer else None

    def create(self, fields):
        """Returns the id of a new job with this filter, without limits."""
        return self.ask(
            "POST", self.base, type="simple", system="magic-transit",
            time_limit=86400, packet_limit=1_000_000_000, filter_v1=fields,
        )["id"]

    def stop(self, job_id):
        self.ask("PUT", self.path(job_id, "/stop"), 204)

    def delete(self, job_id):
        self.ask("DELETE", self.path(job_id), 204)

    def job(self, job_id):
        return self.ask("GET", self.path(job_id))

    def jobs(self):
        """All jobs, by id."""
        result = {}
        page = 1
        while True:
            found = self.ask("GET", f"{self.base}?per_page=50&page={page}")
            result |= {job["id"]: job for job in found}
            if len(found) < 50:
                return result
            page += 1
