"""`manage.py rejudge`: make every stored verdict again, from its facts."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from risk.facts import Facts
from risk.gate import BUILD, judge
from risk.models import RiskDecision

BATCH = 1000


class Command(BaseCommand):
    """Compares verdicts with what the gate says of their facts now."""

    help = "Judge every stored verdict of this build again; exit 1 and name those that differ."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take where to begin."""
        parser.add_argument("--from", dest="first", type=int, default=1, help="a decision's id")

    def handle(self, *args: Any, **options: Any) -> None:
        """Judge, compare, and say how many."""
        rows = RiskDecision.objects.filter(pk__gte=options["first"]).order_by("pk")
        ours = rows.filter(build=BUILD)
        differing = 0
        for row in ours.iterator(BATCH):
            verdict = judge(Facts.from_json(row.inputs))
            checks = [check.as_json() for check in verdict.checks]
            if (verdict.status, checks) != (row.status, row.checks):
                differing += 1
                self.stderr.write(f"decision {row.pk}: {row.status} is now {verdict.status}")
        count, others = ours.count(), rows.exclude(build=BUILD).count()
        if options["verbosity"]:
            other = f"; {others} of other builds were left alone" if others else ""
            self.stdout.write(f"{count - differing} of {count} verdicts made again{other}")
        if differing:
            sys.exit(1)
