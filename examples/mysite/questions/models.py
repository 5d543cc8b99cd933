from django.db import models
from django.urls import reverse
from django.utils import timezone


class Question(models.Model):
    text = models.CharField("question", max_length=200)
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-published_at", "-id"]  # the newest first, also in the admin

    def __str__(self):
        return self.text

    def get_absolute_url(self):
        return reverse("questions:detail", args=[self.pk])


class Answer(models.Model):
    question = models.ForeignKey(Question, on_delete=models.CASCADE, related_name="answers")
    text = models.CharField("answer", max_length=500)
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["published_at", "id"]  # the oldest first, as in a conversation

    def __str__(self):
        return self.text
