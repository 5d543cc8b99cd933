"""Pages that show what a gateway does: big uploads and downloads, files for some,
slow answers, and what the application is told about the client."""

import hashlib
import os
import time
from functools import wraps
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe
from django.views.static import serve

from .forms import UploadForm

CHUNK_SIZE = 64 * 1024


def diagnostics_only(view):
    """Hide a page from the public; see DIAGNOSTICS in the settings."""

    @wraps(view)
    def guarded(request):
        if not settings.DIAGNOSTICS:
            raise Http404
        return view(request)

    return guarded


def size_and_sha256(chunks):
    """Read a body piece by piece: no upload is ever in memory as a whole."""
    size, digest = 0, hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
    return {"size": size, "sha256": digest.hexdigest()}


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request):
    """A file from a form. Django puts a big one into a temporary file."""
    if request.method != "POST":
        return render(request, "demo/upload.html", {"form": UploadForm()})
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    file = form.cleaned_data["file"]
    return JsonResponse({"name": file.name} | size_and_sha256(file.chunks(CHUNK_SIZE)))


# Safe without a CSRF token, because it changes nothing and needs no login.
@csrf_exempt
@require_http_methods(["POST", "PUT"])
def upload_raw(request):
    """The request body as it is, with no form around it.

    Django reads as many bytes as Content-Length says, and none without it: what
    a client sends in chunks of unknown number, the gateway has to collect first.
    """
    chunks = iter(lambda: request.read(CHUNK_SIZE), b"")
    return JsonResponse(size_and_sha256(chunks))


# The byte at position i of every download is i % 251. As 251 is prime, no power
# of two is a multiple of it: a lost or doubled buffer cannot go unnoticed.
PATTERN = bytes(range(251)) * 261


def pattern_chunks(size):
    while size > 0:
        chunk = PATTERN[:size]
        size -= len(chunk)
        yield chunk


@require_safe
def download(request, mebibytes):
    """Many bytes, made while they are sent. `?length=1` announces how many."""
    if not 1 <= mebibytes <= 200:
        raise Http404
    size = mebibytes * 1024 * 1024
    response = StreamingHttpResponse(pattern_chunks(size), content_type="application/octet-stream")
    if request.GET.get("length") == "1":
        response["Content-Length"] = size
    return response


@login_required(login_url="admin:login")
@require_safe
def member_file(request, name):
    """A file for those who are logged in.

    Django decides who gets it. Behind a gateway that knows X-Accel-Redirect it
    only names the file, and a worker is free while the gateway sends it. (So
    there is no word about the type either: the gateway knows it by the name.)
    """
    if not settings.ACCEL:
        return serve(request, name, document_root=settings.MEMBERS_ROOT)
    response = HttpResponse(headers={"X-Accel-Redirect": f"{settings.ACCEL}/{quote(name)}"})
    del response["Content-Type"]
    response["Cache-Control"] = "private, no-cache"
    return response


@diagnostics_only
def whoami(request):
    """What the gateway told this application about the request."""
    return JsonResponse(
        {
            "method": request.method,
            "scheme": request.scheme,
            "host": request.get_host(),
            "script_name": request.META["SCRIPT_NAME"],
            "path_info": request.path_info,
            "path": request.path,
            "query_string": request.META["QUERY_STRING"],
            "url": request.build_absolute_uri(),
            "remote_addr": request.META.get("REMOTE_ADDR", ""),
            "process_id": os.getpid(),
            "headers": {name: value for name, value in request.META.items() if name.startswith("HTTP_")},
        }
    )


@diagnostics_only
def slow(request):
    """Sleep, as a page does that waits for a database or another service."""
    try:
        seconds = float(request.GET.get("seconds", "1"))
    except ValueError:
        return HttpResponseBadRequest("seconds must be a number\n", content_type="text/plain")
    if not 0 <= seconds <= 30:
        return HttpResponseBadRequest("seconds must be from 0 to 30\n", content_type="text/plain")
    time.sleep(seconds)
    return HttpResponse(f"slept {seconds:g} seconds\n", content_type="text/plain")
