"""The Git repositories in the directory GIT_ROOT, to clone from and to push to.

    GIT_ROOT=/tmp/repositories gunicorn git_app:application
"""

import os

from dulwich.repo import Repo
from dulwich.server import Backend
from dulwich.web import make_wsgi_chain

ROOT = os.environ["GIT_ROOT"]


class Directory(Backend):
    def open_repository(self, path):
        return Repo(os.path.join(ROOT, os.path.basename(os.fsdecode(path))))


application = make_wsgi_chain(Directory())
