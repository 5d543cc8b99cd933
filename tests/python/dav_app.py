"""A WebDAV share of the directory DAV_ROOT, for everybody.

    DAV_ROOT=/tmp/share gunicorn --threads 4 dav_app:application
"""

import os

from wsgidav.wsgidav_app import WsgiDAVApp

application = WsgiDAVApp(
    {
        "provider_mapping": {"/": os.environ["DAV_ROOT"]},
        "simple_dc": {"user_mapping": {"*": True}},
        "property_manager": True,
        # In memory: one process, with as many threads as you like.
        "lock_storage": True,
        "logging": {"enable": False},
        "verbose": 1,
    }
)
