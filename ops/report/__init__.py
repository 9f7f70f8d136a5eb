"""The proof report: the certificate as a page that a person can read, and its main chart as a file."""

from ops.report.build import ReportPaths, build_report
from ops.report.series import Mark
from ops.report.tables import Foreseen

__all__ = ["Foreseen", "Mark", "ReportPaths", "build_report"]
