from django.db.models import Count
from django.shortcuts import get_object_or_404, redirect, render

from .forms import AnswerForm, QuestionForm
from .models import Question

# Both pages follow POST-redirect-GET: a form that was accepted is answered with
# a redirect, so that reloading the page does not send it again.


def index(request):
    """The newest questions, and a form to ask one."""
    form = QuestionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect(form.save())  # to the new question: its get_absolute_url
    # Counting groups the rows, and a grouped query ignores the model's own ordering.
    questions = Question.objects.annotate(answer_count=Count("answers")).order_by("-published_at", "-id")[:50]
    return render(request, "questions/index.html", {"questions": questions, "form": form})


def detail(request, pk):
    """One question with its answers, and a form to answer it."""
    question = get_object_or_404(Question, pk=pk)
    form = AnswerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.instance.question = question
        form.save()
        return redirect(question)
    return render(request, "questions/detail.html", {"question": question, "form": form})
