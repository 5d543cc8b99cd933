from io import StringIO

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client, TestCase

from .models import Question


class BoardTests(TestCase):
    def test_asking_redirects_to_the_new_question(self):
        response = self.client.post("/", {"text": "Is it <easy>?"})
        question = Question.objects.get()
        self.assertRedirects(response, f"/questions/{question.pk}/")
        self.assertContains(self.client.get("/"), "Is it &lt;easy&gt;?")

    def test_the_newest_question_comes_first(self):
        call_command("seed", stdout=StringIO())
        asked = [question.published_at.day for question in self.client.get("/").context["questions"]]
        self.assertEqual(asked, [3, 2, 1])

    def test_answers_are_counted(self):
        question = Question.objects.create(text="Is it easy?")
        question.answers.create(text="It is.")
        question.answers.create(text="It is not.")
        self.assertContains(self.client.get("/"), "2 answers")

    def test_answering_redirects_to_the_question(self):
        question = Question.objects.create(text="Is it easy?")
        response = self.client.post(question.get_absolute_url(), {"text": "It is."}, follow=True)
        self.assertRedirects(response, question.get_absolute_url())
        self.assertContains(response, "It is.")

    def test_an_empty_question_is_refused_with_the_form(self):
        response = self.client.post("/", {"text": ""})
        self.assertContains(response, "This field is required.")
        self.assertFalse(Question.objects.exists())

    def test_a_form_without_its_csrf_token_is_refused(self):
        response = Client(enforce_csrf_checks=True).post("/", {"text": "Is it easy?"})
        self.assertEqual(response.status_code, 403)

    def test_a_question_that_does_not_exist_is_not_found(self):
        self.assertEqual(self.client.get("/questions/1/").status_code, 404)

    def test_pages_link_the_style_sheet(self):
        self.assertContains(self.client.get("/"), 'href="/static/style.css"')


class SeedTests(TestCase):
    def test_seeding_twice_is_seeding_once(self):
        for _ in range(2):
            call_command("seed", stdout=StringIO())
        self.assertEqual(Question.objects.count(), 3)

    def test_the_admin_can_log_in(self):
        call_command("seed", admin_password="correct horse", stdout=StringIO())
        self.assertEqual(get_user_model().objects.get().username, "admin")
        self.assertTrue(self.client.login(username="admin", password="correct horse"))
        self.assertContains(self.client.get("/admin/questions/question/"), "3 questions")
