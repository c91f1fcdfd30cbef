"""One browser as a process, for requests that must meet: each line of stdin is sent at once.

A line is {"port", "method", "path", "body", "headers"}; the answer is {"status", "body"}. Nothing
is tried again: what the server says is what the test sees.
"""

import http.client
import json
import sys


def send(asked: dict) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", asked["port"], timeout=60)
    headers = {"Content-Type": "application/json", **asked["headers"]}
    connection.request(asked["method"], asked["path"], json.dumps(asked["body"]), headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    is_json = response.headers.get_content_type() == "application/json"
    return {"status": response.status, "body": json.loads(text) if is_json else {}}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(send(json.loads(line))), flush=True)
