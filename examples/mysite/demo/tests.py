import hashlib
import os
import subprocess
import sys

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.contrib.auth.models import User
from django.test import Client, SimpleTestCase, TestCase, override_settings

BIG = bytes(range(256)) * 4096 * 20  # 20 MiB


class UploadTests(SimpleTestCase):
    expected = {"size": len(BIG), "sha256": hashlib.sha256(BIG).hexdigest()}

    def test_a_big_file(self):
        response = self.client.post("/upload/", {"file": SimpleUploadedFile("big.bin", BIG)})
        self.assertEqual(response.json(), {"name": "big.bin"} | self.expected)

    def test_no_file(self):
        self.assertEqual(self.client.post("/upload/").status_code, 400)

    def test_a_big_body(self):
        client = Client(enforce_csrf_checks=True)
        for method in client.post, client.put:
            response = method("/upload/raw/", BIG, content_type="application/octet-stream")
            self.assertEqual(response.json(), self.expected)


class DownloadTests(SimpleTestCase):
    def test_every_byte_is_its_position_modulo_251(self):
        response = self.client.get("/download/1/")
        self.assertNotIn("Content-Length", response)
        body = response.getvalue()
        self.assertEqual(body, bytes(i % 251 for i in range(1024 * 1024)))

    def test_the_length_can_be_announced(self):
        response = self.client.get("/download/2/?length=1")
        self.assertEqual(response["Content-Length"], str(len(response.getvalue())))

    def test_the_size_is_bounded(self):
        for mebibytes in 0, 201:
            self.assertEqual(self.client.get(f"/download/{mebibytes}/").status_code, 404)


class MemberFileTests(TestCase):
    def test_a_stranger_has_to_log_in(self):
        response = self.client.get("/members/handbook.txt")
        self.assertRedirects(response, "/admin/login/?next=/members/handbook.txt")

    def test_django_sends_it_itself(self):
        self.client.force_login(User.objects.create_user("ann"))
        with override_settings(ACCEL=""):
            self.assertIn(b"handbook", self.client.get("/members/handbook.txt").getvalue())

    @override_settings(ACCEL="/protected")
    def test_or_leaves_it_to_the_gateway(self):
        self.client.force_login(User.objects.create_user("ann"))
        response = self.client.get("/members/a%20b%25%3F/%C3%A4.txt")
        self.assertEqual(response["X-Accel-Redirect"], "/protected/a%20b%25%3F/%C3%A4.txt")
        self.assertNotIn("Content-Type", response)
        self.assertEqual(response.content, b"")


@override_settings(DIAGNOSTICS=True)
class DiagnosticsTests(SimpleTestCase):
    def test_whoami_shows_what_the_application_was_told(self):
        response = self.client.get("/whoami/?a=b", headers={"X-Forwarded-For": "192.0.2.1"})
        told = response.json()
        self.assertEqual(told["url"], "http://testserver/whoami/?a=b")
        self.assertEqual(told["headers"]["HTTP_X_FORWARDED_FOR"], "192.0.2.1")

    def test_slow_is_bounded(self):
        self.assertEqual(self.client.get("/slow/?seconds=0").status_code, 200)
        for seconds in "-1", "31", "nan", "soon":
            self.assertEqual(self.client.get(f"/slow/?seconds={seconds}").status_code, 400)

    @override_settings(DIAGNOSTICS=False)
    def test_the_public_sees_none_of_it(self):
        for path in "/whoami/", "/slow/":
            self.assertEqual(self.client.get(path).status_code, 404)


class SettingsTests(SimpleTestCase):
    def check(self, **variables):
        """Run `manage.py check` in a process with these environment variables."""
        return subprocess.run(
            [sys.executable, "manage.py", "check"],
            cwd=settings.BASE_DIR,
            env={name: value for name, value in os.environ.items() if not name.startswith("MYSITE_")} | variables,
            capture_output=True,
            text=True,
        )

    def test_production_refuses_the_development_key(self):
        self.assertIn("set MYSITE_SECRET_KEY", self.check(MYSITE_DEBUG="0").stderr)

    def test_production_starts_with_a_key(self):
        self.assertEqual(self.check(MYSITE_DEBUG="0", MYSITE_SECRET_KEY="a secret").returncode, 0)
