"""A Django application, asked by Django's own test client: tables in SQLite in memory, templates, JSON,
sessions. Stands for web applications."""

from __future__ import annotations

import json

import django
from django.conf import settings
from django.db import connection, models
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import engines
from django.test import Client
from django.urls import path

from .common import share, steady

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()

PAGE = engines["django"].from_string(
    "<table>{% for note in notes %}<tr><td>{{ note.title|title }}</td><td>{{ note.text|linebreaks }}</td></tr>"
    "{% endfor %}</table><p>{{ visits }}</p>"
)


class Note(models.Model):  # type: ignore[misc]
    """A note with a title and a text."""

    title = models.CharField(max_length=100)
    text = models.TextField()

    class Meta:
        """Names the application, as there is no package of one."""

        app_label = "bench"


def page(request: HttpRequest) -> HttpResponse:
    """Fifty notes as HTML."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    first = int(request.GET["first"])
    notes = Note.objects.order_by("title")[first : first + 50]
    return HttpResponse(PAGE.render({"notes": notes, "visits": request.session["visits"]}, request))


def add(request: HttpRequest) -> JsonResponse:
    """A note from JSON, answered with the newest ones."""
    note = Note.objects.create(**json.loads(request.body))
    return JsonResponse({"id": note.pk, "newest": list(Note.objects.order_by("-pk").values()[:20])})


urlpatterns = [path("page", page), path("add", add)]


def main() -> None:
    """Requests of several visitors."""
    random = steady(7)
    with connection.schema_editor() as editor:
        editor.create_model(Note)
    Note.objects.bulk_create(Note(title=f"note {n}", text="line\n" * random.randrange(40)) for n in range(500))
    visitors = [Client() for _ in range(20)]
    for turn in range(share(900)):
        visitor = random.choice(visitors)
        if turn % 4 == 0:
            note = {"title": f"new {turn}", "text": "text " * random.randrange(200)}
            answer = visitor.post("/add", json.dumps(note), content_type="application/json")
        else:
            answer = visitor.get("/page", {"first": random.randrange(400)})
        assert answer.status_code == 200


main()
