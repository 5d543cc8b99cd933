from django.contrib import admin

from .models import Answer, Question


class AnswerInline(admin.TabularInline):
    model = Answer
    extra = 1


@admin.register(Question)
class QuestionAdmin(admin.ModelAdmin):
    list_display = ["text", "published_at"]
    list_filter = ["published_at"]
    search_fields = ["text"]
    inlines = [AnswerInline]
