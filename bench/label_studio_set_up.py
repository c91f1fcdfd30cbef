"""Accounts in Label Studio, made inside its own environment: an administrator and annotators.

PEER/bin/python bench/label_studio_set_up.py COUNT      JSON on the last line
"""

import json
import sys

import django

django.setup()

from organizations.models import Organization  # noqa: E402
from users.models import User  # noqa: E402


def main() -> None:
    administrator = User.objects.create_user("admin@example.com", "a password of nobody")
    organization = Organization.create_organization(created_by=administrator, title="Benchmark")
    people = [administrator]
    for number in range(int(sys.argv[1])):
        user = User.objects.create_user(f"annotator{number}@example.com", "a password of nobody")
        organization.add_user(user)
        people.append(user)
    for user in people:
        user.active_organization = organization
        user.save(update_fields=["active_organization"])
    print(json.dumps([{"user": each.email, "password": each.auth_token.key} for each in people]))


if __name__ == "__main__":
    main()
