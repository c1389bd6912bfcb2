"""The table of readers for tests, coverage, load, accessibility, people and documents."""

from __future__ import annotations

from pilotage.evidence.axe import is_axe, read_axe
from pilotage.evidence.cobertura import is_cobertura, read_cobertura
from pilotage.evidence.code_review import is_github_review, read_github_review
from pilotage.evidence.documents import is_document, read_document
from pilotage.evidence.jacoco import is_jacoco, read_jacoco
from pilotage.evidence.jmeter import is_jmeter_csv, is_jmeter_xml, read_jmeter_csv, read_jmeter_xml
from pilotage.evidence.junit import is_junit, read_junit
from pilotage.evidence.k6 import is_k6, read_k6
from pilotage.evidence.lcov import is_lcov, read_lcov
from pilotage.evidence.locust import is_locust, read_locust
from pilotage.evidence.model_card import is_model_card, read_model_card
from pilotage.evidence.own_load import is_own_load, read_own_load
from pilotage.evidence.pentest import is_pentest, read_pentest, read_sarif_pentest
from pilotage.evidence.requirement_coverage import is_requirement_report, read_requirement_report
from pilotage.evidence.resilience import is_failover, is_recovery, read_drill
from pilotage.evidence.sarif import is_sarif
from pilotage.evidence.source import Format
from pilotage.evidence.training import is_training, read_training
from pilotage.evidence.user_acceptance import is_uat, read_uat

_COVERAGE = ("coverage",)
_LOAD = ("load.*",)


REPORT_FORMATS: tuple[Format, ...] = (
    Format(id="JUnit XML", kinds=("tests.*",), looks_like=is_junit, read=read_junit),
    Format(id="Cobertura XML", kinds=_COVERAGE, looks_like=is_cobertura, read=read_cobertura, detected_kind="coverage"),
    Format(id="JaCoCo XML", kinds=_COVERAGE, looks_like=is_jacoco, read=read_jacoco, detected_kind="coverage"),
    Format(id="lcov", kinds=_COVERAGE, looks_like=is_lcov, read=read_lcov, detected_kind="coverage"),
    Format(
        id="requirement report",
        kinds=_COVERAGE,
        looks_like=is_requirement_report,
        read=read_requirement_report,
        detected_kind="coverage",
    ),
    Format(id="JMeter CSV", kinds=_LOAD, looks_like=is_jmeter_csv, read=read_jmeter_csv),
    Format(id="JMeter XML", kinds=_LOAD, looks_like=is_jmeter_xml, read=read_jmeter_xml),
    Format(id="Locust statistics", kinds=_LOAD, looks_like=is_locust, read=read_locust),
    Format(id="k6 summary", kinds=_LOAD, looks_like=is_k6, read=read_k6),
    Format(id="own load report", kinds=_LOAD, looks_like=is_own_load, read=read_own_load),
    Format(
        id="axe results",
        kinds=("accessibility",),
        looks_like=is_axe,
        read=read_axe,
        detected_kind="accessibility",
    ),
    Format(id="failover drill", kinds=("failover",), looks_like=is_failover, read=read_drill, detected_kind="failover"),
    Format(id="recovery drill", kinds=("recovery",), looks_like=is_recovery, read=read_drill, detected_kind="recovery"),
    Format(id="pentest", kinds=("pentest",), looks_like=is_pentest, read=read_pentest, detected_kind="pentest"),
    Format(
        id="GitHub review",
        kinds=("review.code",),
        looks_like=is_github_review,
        read=read_github_review,
        detected_kind="review.code",
    ),
    Format(id="acceptance rows", kinds=("uat",), looks_like=is_uat, read=read_uat, detected_kind="uat"),
    Format(
        id="training rows", kinds=("training",), looks_like=is_training, read=read_training, detected_kind="training"
    ),
    Format(
        id="model card",
        kinds=("document.model-card",),
        looks_like=is_model_card,
        read=read_model_card,
        detected_kind="document.model-card",
    ),
)

LAST_FORMATS: tuple[Format, ...] = (
    Format(id="SARIF of a penetration test", kinds=("pentest",), looks_like=is_sarif, read=read_sarif_pentest),
    Format(id="document", kinds=("document.*",), looks_like=is_document, read=read_document),
)
"""Formats that fit much else besides, asked after every other."""
