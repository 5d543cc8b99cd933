"""What REDbot notes of resources, a line of JSON for each.

    python redbot_notes.py '[["http://127.0.0.1:8000/style.css", {}], ...]'

Each resource is a URL and the fields to ask with. Told is the status, and the
notes on the response and on those of the further requests that REDbot makes
(negotiation, ranges, validation).
"""

import json
import sys
from configparser import ConfigParser

import thor
from redbot.resource import HttpResource


def main() -> None:
    config = ConfigParser()
    # It refuses addresses that are not of the public Internet otherwise.
    config.read_dict({"redbot": {"enable_local_access": "True"}})
    asked = iter(json.loads(sys.argv[1]))

    # One after another, in one run of its loop: connections do not live through two.
    def check_next():
        url, fields = next(asked, (None, None))
        if url is None:
            thor.stop()
            return
        resource = HttpResource(config["redbot"])
        resource.set_request(url, headers=list(fields.items()))
        resource.on("check_done", lambda: tell(url, resource))
        resource.on("check_done", lambda: thor.schedule(0, check_next))
        resource.check()

    thor.schedule(0, check_next)
    thor.run()


def tell(url, resource):
    response = resource.response
    told = {
        "url": url,
        "status": response.status_code,
        "complete": response.complete,
        "notes": list(notes(resource)),
    }
    print(json.dumps(told))


def notes(resource):
    checked = [("response", resource)]
    checked += [(name, sub) for name, sub in resource.subreqs.items() if sub.fetch_started]
    for request, fetched in checked:
        for note in fetched.response.notes:
            for each in [note, *note.subnotes]:
                yield {
                    "request": request,
                    "level": each.level.value,
                    "name": type(each).__name__,
                    "summary": str(each),
                }


if __name__ == "__main__":
    main()
