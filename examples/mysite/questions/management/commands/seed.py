from datetime import UTC, datetime

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from questions.models import Question

QUESTIONS = [
    ("What does a gateway do?", datetime(2025, 1, 1, 9, 0, tzinfo=UTC)),
    ("Why is the style sheet not served by Django?", datetime(2025, 1, 2, 9, 0, tzinfo=UTC)),
    ("How many workers do I need?", datetime(2025, 1, 3, 9, 0, tzinfo=UTC)),
]


class Command(BaseCommand):
    help = "Creates three example questions, once: running it again changes nothing."

    def add_arguments(self, parser):
        parser.add_argument(
            "--admin-password",
            help="also create the superuser 'admin', or give it this password",
        )

    def handle(self, *args, admin_password=None, **options):
        for text, published_at in QUESTIONS:
            Question.objects.get_or_create(text=text, defaults={"published_at": published_at})
        self.stdout.write(f"{Question.objects.count()} questions")

        if admin_password:
            User = get_user_model()
            admin, _ = User.objects.get_or_create(username="admin")
            admin.is_staff = admin.is_superuser = True
            admin.set_password(admin_password)
            admin.save()
            self.stdout.write("superuser admin")
