"""The table of readers for scans, quality, bills of material and secrets."""

from __future__ import annotations

from pilotage.evidence.bandit import is_bandit, read_bandit
from pilotage.evidence.checkov import is_checkov, read_checkov
from pilotage.evidence.cyclonedx import is_cyclonedx, read_cyclonedx
from pilotage.evidence.github_alerts import is_github_alerts, read_github_alerts
from pilotage.evidence.gitlab import is_gitlab, read_gitlab
from pilotage.evidence.nothing import is_nothing, read_nothing
from pilotage.evidence.npm_audit import is_npm_audit, read_npm_audit
from pilotage.evidence.own_secrets import is_own_secrets, read_own_secrets
from pilotage.evidence.pip_audit import is_pip_audit, read_pip_audit
from pilotage.evidence.quality import is_quality, read_quality
from pilotage.evidence.sarif import is_sarif, read_sarif
from pilotage.evidence.semgrep import is_semgrep, read_semgrep
from pilotage.evidence.snyk import is_snyk, read_snyk
from pilotage.evidence.snyk_api import is_snyk_api, read_snyk_api
from pilotage.evidence.sonarqube import is_issues, read_issues
from pilotage.evidence.source import Format
from pilotage.evidence.spdx import is_spdx, read_spdx
from pilotage.evidence.trivy import is_trivy, read_trivy
from pilotage.evidence.zap import is_zap, read_zap

_CODE = ("scan.sast",)
_PACKAGES = ("scan.deps", "scan.container")
_ANY_SCAN = ("scan.sast", "scan.deps", "scan.container", "scan.iac", "scan.dast")
_BOM = ("sbom", "licences", "vex")

SCAN_FORMATS: tuple[Format, ...] = (
    Format(
        id="Pilotage secrets",
        kinds=("scan.secrets",),
        looks_like=is_own_secrets,
        read=read_own_secrets,
        detected_kind="scan.secrets",
    ),
    Format(id="SARIF", kinds=("scan.*",), looks_like=is_sarif, read=read_sarif),
    Format(id="CycloneDX", kinds=(*_BOM, *_PACKAGES), looks_like=is_cyclonedx, read=read_cyclonedx),
    Format(id="SPDX", kinds=("sbom", "licences"), looks_like=is_spdx, read=read_spdx, detected_kind="sbom"),
    Format(id="Snyk", kinds=_ANY_SCAN, looks_like=is_snyk, read=read_snyk),
    Format(id="Snyk API", kinds=_ANY_SCAN, looks_like=is_snyk_api, read=read_snyk_api),
    Format(id="Trivy", kinds=("scan.*",), looks_like=is_trivy, read=read_trivy),
    Format(id="npm audit", kinds=_PACKAGES, looks_like=is_npm_audit, read=read_npm_audit, detected_kind="scan.deps"),
    Format(id="pip-audit", kinds=_PACKAGES, looks_like=is_pip_audit, read=read_pip_audit, detected_kind="scan.deps"),
    Format(id="Bandit", kinds=_CODE, looks_like=is_bandit, read=read_bandit, detected_kind="scan.sast"),
    Format(id="Semgrep", kinds=("scan.*",), looks_like=is_semgrep, read=read_semgrep),
    Format(id="Checkov", kinds=("scan.iac",), looks_like=is_checkov, read=read_checkov, detected_kind="scan.iac"),
    Format(id="GitLab report", kinds=("scan.*",), looks_like=is_gitlab, read=read_gitlab),
    Format(
        id="GitHub alerts",
        kinds=_CODE,
        looks_like=is_github_alerts,
        read=read_github_alerts,
        detected_kind="scan.sast",
    ),
    Format(id="ZAP", kinds=("scan.dast",), looks_like=is_zap, read=read_zap, detected_kind="scan.dast"),
    Format(id="SonarQube issues", kinds=("scan.sast", "scan.deps"), looks_like=is_issues, read=read_issues),
    Format(
        id="SonarQube quality", kinds=("quality",), looks_like=is_quality, read=read_quality, detected_kind="quality"
    ),
    Format(id="empty JSON", kinds=("scan.*", "quality", *_BOM), looks_like=is_nothing, read=read_nothing),
)
"""Every format of this table, the surest mark first."""
