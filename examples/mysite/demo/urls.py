from django.urls import path

from . import views

app_name = "demo"

urlpatterns = [
    path("upload/", views.upload, name="upload"),
    path("upload/raw/", views.upload_raw, name="upload_raw"),
    path("download/<int:mebibytes>/", views.download, name="download"),
    path("members/<path:name>", views.member_file, name="member_file"),
    path("whoami/", views.whoami, name="whoami"),
    path("slow/", views.slow, name="slow"),
]
