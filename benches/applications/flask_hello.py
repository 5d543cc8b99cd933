"""The same by Flask."""

from flask import Flask, Response

from hello import BODY

application = Flask(__name__)


@application.get("/<path:name>")
def hello(name):
    return Response(BODY, content_type="text/plain; charset=utf-8")
